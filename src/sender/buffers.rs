//! The buffers between ureq and a connection.
//!
//! ureq's own keep 256 KiB for every connection, idle ones too, and send headers and body in two
//! writes. These gather what is to be sent until it is flushed, and hold nothing while idle: the memory is the
//! thread's, which has one request under way at a time. Making it anew, as zeros, took a tenth of a sender's time.

use std::cell::RefCell;

use ureq::unversioned::transport::Buffers;

/// How many bytes of an answer are read at once.
pub(super) const INPUT: usize = 32 * 1024;
/// How many bytes of a request are gathered before they are sent.
const OUTPUT: usize = 32 * 1024;
/// Room that a request's next part must find; one header line must fit in.
const OUTPUT_ROOM: usize = 16 * 1024;

thread_local! {
    /// Memory for one request's input and output. What stands in it is of requests before and is never read.
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare { input: Vec::new(), output: Vec::new() }) };
}

struct Spare {
    input: Vec<u8>,
    output: Vec<u8>,
}

/// What came and was not read yet, and what is to be sent.
#[derive(Debug, Default)]
pub(super) struct WireBuffers {
    /// What is read before `input`, but for the first `led` bytes of it.
    lead: Vec<u8>,
    led: usize,
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

    /// Has `bytes` read before what came and was not read yet.
    pub(super) fn lead(&mut self, bytes: Vec<u8>) {
        (self.lead, self.led, self.progress) = (bytes, 0, true);
    }

    /// Whether something is there to be read.
    pub(super) fn has_input(&self) -> bool {
        self.start < self.end || self.led < self.lead.len()
    }

    /// Gives the memory back until the next request.
    pub(super) fn release(&mut self) {
        let Self { input, output, .. } = std::mem::take(self);
        SPARE.with_borrow_mut(|spare| {
            keep(&mut spare.input, input);
            keep(&mut spare.output, output);
        });
    }

    fn ensure_output(&mut self) {
        if self.output.is_empty() {
            self.output = made(SPARE.with_borrow_mut(|spare| std::mem::take(&mut spare.output)), OUTPUT);
        }
    }
}

/// `spare`, or memory of that size if there is none.
fn made(spare: Vec<u8>, size: usize) -> Vec<u8> {
    if spare.is_empty() { vec![0; size] } else { spare }
}

/// Puts `memory` into `spare`, unless it is none.
fn keep(spare: &mut Vec<u8>, memory: Vec<u8>) {
    if !memory.is_empty() {
        *spare = memory;
    }
}

impl Buffers for WireBuffers {
    fn output(&mut self) -> &mut [u8] {
        self.ensure_output();
        &mut self.output[self.pending..]
    }

    fn input(&self) -> &[u8] {
        match &self.lead[self.led..] {
            [] => &self.input[self.start..self.end],
            lead => lead,
        }
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        if self.input.is_empty() {
            self.input = made(SPARE.with_borrow_mut(|spare| std::mem::take(&mut spare.input)), INPUT);
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
        match self.lead.len() - self.led {
            0 => self.start = (self.start + amount).min(self.end),
            lead => self.led += amount.min(lead),
        }
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

    #[test]
    fn memory_is_the_threads_and_shows_nothing_of_the_request_before() {
        let mut first = WireBuffers::default();
        first.output()[..6].copy_from_slice(b"secret");
        first.gather(6);
        first.input_append_buf()[..6].copy_from_slice(b"answer");
        first.input_appended(6);
        let places = (first.input.as_ptr(), first.output.as_ptr());
        first.release();
        let (mut second, mut third) = (WireBuffers::default(), WireBuffers::default());
        assert_eq!((second.output().len(), second.input_append_buf().len()), (OUTPUT, INPUT));
        assert_eq!((second.input.as_ptr(), second.output.as_ptr()), places);
        assert_eq!((second.pending(), second.input(), second.has_input()), (&b""[..], &b""[..], false));
        // Two at once, as when a connection that was kept turns out to be closed.
        assert_eq!((third.output().len(), third.input_append_buf().len()), (OUTPUT, INPUT));
        third.release();
        second.release();
    }
}
