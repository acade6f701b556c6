//! The buffers between ureq and a connection.
//!
//! ureq's own keep 256 KiB for every connection, idle ones too, and send headers and body in two
//! writes. These gather what is to be sent until it is flushed, and hold nothing while idle.

use ureq::unversioned::transport::Buffers;

/// How many bytes of an answer are read at once; its headers must fit in.
pub(super) const INPUT: usize = 32 * 1024;
/// How many bytes of a request are gathered before they are sent.
const OUTPUT: usize = 32 * 1024;
/// Room that a request's next part must find; one header line must fit in.
const OUTPUT_ROOM: usize = 16 * 1024;

/// What came and was not read yet, and what is to be sent.
#[derive(Debug, Default)]
pub(super) struct WireBuffers {
    input: Vec<u8>,
    start: usize,
    end: usize,
    progress: bool,
    output: Vec<u8>,
    pending: usize,
}

impl WireBuffers {
    /// Counts `amount` bytes of the output as to be sent; whether they must be sent now to make room.
    pub(super) fn gather(&mut self, amount: usize) -> bool {
        self.pending = (self.pending + amount).min(self.output.len());
        self.output.len() - self.pending < OUTPUT_ROOM
    }

    /// What is to be sent.
    pub(super) fn pending(&self) -> &[u8] {
        &self.output[..self.pending]
    }

    /// It was sent.
    pub(super) fn sent(&mut self) {
        self.pending = 0;
    }

    /// Whether something came that was not read.
    pub(super) fn has_input(&self) -> bool {
        self.start < self.end
    }

    /// Gives the memory back until the next request.
    pub(super) fn release(&mut self) {
        *self = Self::default();
    }

    fn ensure_output(&mut self) {
        if self.output.is_empty() {
            self.output = vec![0; OUTPUT];
        }
    }
}

impl Buffers for WireBuffers {
    fn output(&mut self) -> &mut [u8] {
        self.ensure_output();
        &mut self.output[self.pending..]
    }

    fn input(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        if self.input.is_empty() {
            self.input = vec![0; INPUT];
        }
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.input[self.end..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.end = (self.end + amount).min(self.input.len());
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.start = (self.start + amount).min(self.end);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.ensure_output();
        // The first slice is for chunked requests, which are never sent.
        (&mut self.input[self.end..], &mut self.output[self.pending..])
    }

    fn can_use_input(&self) -> bool {
        self.has_input() && self.progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_parts_is_sent_as_one() {
        let mut buffers = WireBuffers::default();
        buffers.output()[..4].copy_from_slice(b"head");
        assert!(!buffers.gather(4));
        buffers.tmp_and_output().1[..4].copy_from_slice(b"body");
        assert!(!buffers.gather(4));
        assert_eq!(buffers.pending(), b"headbody");
        assert!(buffers.gather(OUTPUT), "no room is left");
        buffers.sent();
        assert_eq!(buffers.output().len(), OUTPUT);
    }

    #[test]
    fn input_is_kept_until_it_is_consumed() {
        let mut buffers = WireBuffers::default();
        buffers.input_append_buf()[..5].copy_from_slice(b"abcde");
        buffers.input_appended(5);
        assert!(!buffers.can_use_input(), "nothing was consumed yet");
        buffers.input_consume(3);
        assert!(buffers.can_use_input());
        buffers.input_append_buf()[..1].copy_from_slice(b"f");
        buffers.input_appended(1);
        assert_eq!(buffers.input(), b"def");
        buffers.input_consume(0);
        assert!(buffers.has_input() && !buffers.can_use_input());
        buffers.release();
        assert_eq!(buffers.input(), b"");
    }
}
