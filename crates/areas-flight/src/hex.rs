//! Bytes as hexadecimal digits.

/// Two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `None` where it is no such text.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks();
    let bytes =
        pairs.iter().map(|&[high, low]| Some((digit(high)? << 4) | digit(low)?)).collect::<Option<_>>();
    bytes.filter(|_| rest.is_empty())
}
