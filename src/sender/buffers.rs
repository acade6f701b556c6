//! The buffers between ureq and a connection.
//!
//! ureq's own keep 256 KiB for every connection, idle ones too, and send headers and body in two
//! writes. These gather what is to be sent until it is flushed, and hold memory only while there is something in it: a
//! connection that is idle, and one that waits for a slow answer, have none. It is lent from a short list, since making
//! it anew, as zeros, took a tenth of a sender's time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::unversioned::transport::Buffers;

/// How long a buffer is: so many bytes of an answer are read at once, and so many of a request are gathered before they
/// are sent.
pub(super) const SIZE: usize = 32 * 1024;
/// Room that a request's next part must find; one header line must fit in.
const OUTPUT_ROOM: usize = 16 * 1024;
/// How many buffers that nobody uses are kept: as many as threads may be at work between two waits, and some.
const KEPT: usize = 32;

/// Memory for the connections that are being written to or read from. What stands in it is of requests before and is
/// never read.
#[derive(Debug, Default)]
pub(super) struct Spare {
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Spare {
    fn lend(&self) -> Vec<u8> {
        let spare = self.lock().pop();
        spare.unwrap_or_else(|| vec![0; SIZE])
    }

    /// Takes `buffer` back, unless it is none.
    fn take_back(&self, buffer: Vec<u8>) {
        if buffer.is_empty() {
            return;
        }
        let mut buffers = self.lock();
        if buffers.len() < KEPT {
            buffers.push(buffer);
        }
    }

    /// How many nobody uses.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came and was not read yet, and what is to be sent.
#[derive(Debug)]
pub(super) struct WireBuffers {
    spare: Arc<Spare>,
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
    /// None yet; they will be borrowed from `spare`.
    pub(super) fn new(spare: Arc<Spare>) -> Self {
        Self {
            spare,
            lead: Vec::new(),
            led: 0,
            input: Vec::new(),
            start: 0,
            end: 0,
            progress: false,
            output: Vec::new(),
            pending: 0,
        }
    }

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
        self.spare.take_back(std::mem::take(&mut self.output));
    }

    /// Has `bytes` read before what came and was not read yet.
    pub(super) fn lead(&mut self, bytes: Vec<u8>) {
        (self.lead, self.led, self.progress) = (bytes, 0, true);
    }

    /// Whether something is there to be read.
    pub(super) fn has_input(&self) -> bool {
        self.start < self.end || self.led < self.lead.len()
    }

    /// Gives the memory for input back, if nothing is in it.
    pub(super) fn release_input(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.spare.take_back(std::mem::take(&mut self.input));
        }
    }

    /// Gives all memory back until the next request.
    pub(super) fn release(&mut self) {
        self.sent();
        (self.start, self.end, self.led, self.progress) = (0, 0, 0, false);
        self.lead = Vec::new();
        self.release_input();
    }

    fn ensure_output(&mut self) {
        if self.output.is_empty() {
            self.output = self.spare.lend();
        }
    }
}

impl Drop for WireBuffers {
    fn drop(&mut self) {
        self.release();
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
            self.input = self.spare.lend();
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
        let mut buffers = WireBuffers::new(Arc::default());
        buffers.output()[..4].copy_from_slice(b"head");
        assert!(!buffers.gather(4));
        buffers.tmp_and_output().1[..4].copy_from_slice(b"body");
        assert!(!buffers.gather(4));
        assert_eq!(buffers.pending(), b"headbody");
        assert!(buffers.gather(SIZE), "no room is left");
        buffers.sent();
        assert_eq!((buffers.pending().len(), buffers.output.len()), (0, 0));
        assert_eq!(buffers.output().len(), SIZE);
    }

    #[test]
    fn input_is_kept_until_it_is_consumed() {
        let mut buffers = WireBuffers::new(Arc::default());
        buffers.input_append_buf()[..5].copy_from_slice(b"abcde");
        buffers.input_appended(5);
        assert!(!buffers.can_use_input(), "nothing was consumed yet");
        buffers.input_consume(3);
        assert!(buffers.can_use_input());
        buffers.release_input();
        buffers.input_append_buf()[..1].copy_from_slice(b"f");
        buffers.input_appended(1);
        assert_eq!(buffers.input(), b"def");
        buffers.input_consume(0);
        assert!(buffers.has_input() && !buffers.can_use_input());
        buffers.release();
        assert_eq!(buffers.input(), b"");
    }

    #[test]
    fn memory_is_lent_while_there_is_something_in_it_and_shows_nothing_of_the_request_before() {
        let spare = Arc::new(Spare::default());
        let kept = || spare.count();
        let mut first = WireBuffers::new(Arc::clone(&spare));
        first.output()[..6].copy_from_slice(b"secret");
        first.gather(6);
        let place = first.output.as_ptr();
        assert_eq!(kept(), 0);
        first.sent();
        assert_eq!((kept(), first.output.capacity()), (1, 0), "what is sent needs no memory");
        first.input_append_buf()[..6].copy_from_slice(b"answer");
        first.input_appended(6);
        assert_eq!((kept(), first.input.as_ptr()), (0, place), "used again");
        first.input_consume(6);
        first.release_input();
        assert_eq!((kept(), first.input.capacity()), (1, 0), "what is read needs no memory");
        let (mut second, mut third) = (WireBuffers::new(Arc::clone(&spare)), WireBuffers::new(Arc::clone(&spare)));
        assert_eq!((second.output().len(), second.input_append_buf().len()), (SIZE, SIZE));
        assert_eq!((second.pending(), second.input(), second.has_input()), (&b""[..], &b""[..], false));
        // Two at once, as when a connection that was kept turns out to be closed.
        assert_eq!((third.output().len(), third.input_append_buf().len()), (SIZE, SIZE));
        third.release();
        assert_eq!(kept(), 2);
        drop((first, second));
        assert_eq!(kept(), 4, "also of a connection that is closed");
    }

    #[test]
    fn only_so_much_memory_is_kept() {
        let spare = Arc::new(Spare::default());
        let mut many: Vec<_> = (0..KEPT + 5).map(|_| WireBuffers::new(Arc::clone(&spare))).collect();
        for buffers in &mut many {
            buffers.output();
        }
        drop(many);
        assert_eq!(spare.count(), KEPT);
    }
}
