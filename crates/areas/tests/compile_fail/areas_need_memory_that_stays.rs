use areas::Provider;
use areas::provider::Fixed;

fn main() {
    let mut memory = vec![0_u8; 1 << 16];
    let fixed = Fixed::borrowed(&mut memory).unwrap();
    let provider: &dyn Provider = &fixed;
    drop(areas::builder(1).provider(provider).private());
}
