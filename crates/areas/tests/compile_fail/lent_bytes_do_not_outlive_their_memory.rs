use areas::provider::Fixed;

fn main() {
    let lent = {
        let mut memory = vec![0_u8; 1 << 16];
        Fixed::borrowed(&mut memory).unwrap().lend(1).unwrap()
    };
    println!("{}", lent[0]);
}
