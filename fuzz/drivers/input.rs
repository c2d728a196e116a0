//! A fuzzer's octets, taken one decision at a time. When they are used up every decision is zero.

pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Input(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    /// A number that is small more often than not.
    pub fn small(&mut self) -> u32 {
        match self.u8() {
            byte @ 0..=199 => u32::from(byte % 32),
            200..=249 => u32::from(self.u16() % 4_096),
            _ => self.u32(),
        }
    }

    pub fn flip(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    pub fn below(&mut self, bound: u8) -> u8 {
        self.u8() % bound
    }

    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
