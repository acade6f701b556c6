//! The buffers between ureq and a connection.
//!
//! ureq's own buffers take 256 KiB per connection, idle ones included, and send headers and body in two writes. These
//! collect output until it is flushed, and hold memory only while it contains data: an idle connection and one that
//! waits for a slow response have none. Memory comes from a short free list, because allocating it zeroed took a
//! tenth of a sender's time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::unversioned::transport::Buffers;

/// Buffer size, of input and of output.
pub(super) const SIZE: usize = 32 * 1024;
/// Minimum free space for a request's next part; one header line must fit.
const OUTPUT_ROOM: usize = 16 * 1024;
/// Maximum free buffers: roughly the number of threads at work between two waits.
const KEPT: usize = 32;

/// Free memory, shared by all connections. It may contain bytes of earlier requests, which are never read.
#[derive(Debug, Default)]
pub(super) struct Spare {
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Spare {
    fn lend(&self) -> Vec<u8> {
        let spare = self.lock().pop();
        spare.unwrap_or_else(|| vec![0; SIZE])
    }

    /// Returns `buffer` to the free list, unless it is empty.
    fn take_back(&self, buffer: Vec<u8>) {
        if buffer.is_empty() {
            return;
        }
        let mut buffers = self.lock();
        if buffers.len() < KEPT {
            buffers.push(buffer);
        }
    }

    /// The number of free buffers.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unread input and unsent output.
#[derive(Debug)]
pub(super) struct WireBuffers {
    spare: Arc<Spare>,
    /// Read before `input`, in place of its first `led` bytes.
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
    /// Without memory, which is taken from `spare` when needed.
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

    /// Adds `amount` bytes to the pending output; returns whether it must be sent now to make room.
    pub(super) fn gather(&mut self, amount: usize) -> bool {
        self.pending = (self.pending + amount).min(self.output.len());
        self.output.len() - self.pending < OUTPUT_ROOM
    }

    /// Unsent output.
    pub(super) fn pending(&self) -> &[u8] {
        &self.output[..self.pending]
    }

    /// Marks the output as sent.
    pub(super) fn sent(&mut self) {
        self.pending = 0;
        self.spare.take_back(std::mem::take(&mut self.output));
    }

    /// Puts `bytes` before the unread input.
    pub(super) fn lead(&mut self, bytes: Vec<u8>) {
        (self.lead, self.led, self.progress) = (bytes, 0, true);
    }

    /// Whether there is unread input.
    pub(super) fn has_input(&self) -> bool {
        self.start < self.end || self.led < self.lead.len()
    }

    /// Releases the input memory if it is empty.
    pub(super) fn release_input(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.spare.take_back(std::mem::take(&mut self.input));
        }
    }

    /// Releases all memory until the next request.
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
    fn parts_are_sent_in_one_write() {
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
        // Two at once, as when a kept connection turns out to be closed.
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
