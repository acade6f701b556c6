use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, ThreadId};

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// A pool whose jobs wait for a permit, and panic on the number 13.
fn gated(threads: usize) -> (Pool<u32>, mpsc::Sender<()>, mpsc::Receiver<Done<u32, u32>>) {
    let (permit, permits) = mpsc::channel();
    let permits = Mutex::new(permits);
    let (ended, ends) = mpsc::channel();
    let work = move |number: u32| {
        permits.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
        assert_ne!(number, 13, "the unlucky job");
        number * 2
    };
    let done = move |end| ended.send(end).unwrap();
    (Pool::new(threads, "test", |number| *number, work, done, || ()), permit, ends)
}

/// A job that reports its thread, and ends on request.
struct Call {
    number: usize,
    end: mpsc::Receiver<()>,
}

/// Reports of [`Call`]s: which job started on which thread.
type Begun = mpsc::Receiver<(usize, ThreadId)>;

fn calls(threads: usize, quiet: Duration, spawn: Box<Spawn>) -> (Pool<Call>, Begun) {
    retiring(threads, quiet, spawn, || ())
}

fn retiring(
    threads: usize,
    quiet: Duration,
    spawn: Box<Spawn>,
    retire: impl Fn() + Send + Sync + 'static,
) -> (Pool<Call>, Begun) {
    let (begin, begun) = mpsc::channel();
    let perform = move |call: Call, free: &dyn Fn()| {
        begin.send((call.number, thread::current().id())).unwrap();
        call.end.recv().ok();
        free();
    };
    let given = Given { perform: Box::new(perform), retire: Box::new(retire) };
    (Pool::with(threads, "test", given, quiet, spawn), begun)
}

/// Submits a call; returns what ends it, and its thread.
fn begin(pool: &Pool<Call>, begun: &Begun, number: usize) -> (mpsc::Sender<()>, ThreadId) {
    let (ender, end) = mpsc::channel();
    assert!(pool.submit(Call { number, end }).is_ok(), "call {number} is taken");
    let (began, thread) = begun.recv_timeout(LONG).unwrap();
    assert_eq!(began, number);
    (ender, thread)
}

/// Waits until `so` returns true.
fn until(so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < LONG, "never came to be");
        thread::yield_now();
    }
}

fn sleeping<J>(pool: &Pool<J>) -> usize {
    pool.shared.lock().sleeping.len()
}

/// The number of threads that take jobs: busy ones, those reporting their last job (some have the next one already),
/// and sleeping ones.
fn serving(pool: &Pool<Call>) -> usize {
    let state = pool.shared.lock();
    state.busy - state.queue.len() + state.reporting + state.sleeping.len()
}

#[test]
fn takes_as_many_jobs_as_threads_may_be() {
    let (pool, permit, ends) = gated(2);
    assert_eq!((pool.submit(1), pool.submit(2)), (Ok(()), Ok(())));
    assert_eq!(pool.submit(3), Err(3));
    assert_eq!((pool.busy(), pool.threads()), (2, 2));
    permit.send(()).unwrap();
    let Done::Finished(key, result) = ends.recv_timeout(LONG).unwrap() else { panic!("no result") };
    assert_eq!(result, key * 2);
    assert_eq!(pool.submit(3), Ok(()), "after an end, another job can be submitted at once");
    drop(permit);
    ends.recv_timeout(LONG).unwrap();
    ends.recv_timeout(LONG).unwrap();
    assert_eq!(pool.busy(), 0);
    assert_eq!(pool.stop(LONG), 0);
    assert_eq!((pool.submit(4), pool.alive()), (Err(4), 0));
}

#[test]
fn threads_are_started_when_they_are_needed_and_the_last_that_fell_asleep_is_woken_first() {
    let (pool, begun) = calls(1000, LONG, Box::new(spawn));
    assert_eq!(pool.alive(), 0);
    let calls: Vec<_> = (0..3).map(|number| begin(&pool, &begun, number)).collect();
    assert_eq!((pool.alive(), sleeping(&pool)), (3, 0));
    let threads: Vec<ThreadId> = calls.iter().map(|(_, thread)| *thread).collect();
    for (ended, (end, _)) in calls.into_iter().enumerate() {
        drop(end);
        until(|| sleeping(&pool) == ended + 1);
    }
    for number in 3..10 {
        let (end, thread) = begin(&pool, &begun, number);
        assert_eq!(thread, threads[2], "one job at a time: always the same thread");
        drop(end);
        until(|| sleeping(&pool) == 3);
    }
    let two = [begin(&pool, &begun, 10), begin(&pool, &begun, 11)];
    assert_eq!([two[0].1, two[1].1], [threads[2], threads[1]]);
    assert_eq!(pool.alive(), 3);
    drop(two);
    assert_eq!(pool.stop(LONG), 0);
}

#[test]
fn a_thread_that_is_idle_for_a_while_ends_and_another_is_started_for_the_next_job() {
    let retired = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&retired);
    let retire = move || {
        count.fetch_add(1, Ordering::SeqCst);
    };
    let (pool, begun) = retiring(4, Duration::from_millis(1), Box::new(spawn), retire);
    for round in 0..20 {
        let calls: Vec<_> = (0..4).map(|number| begin(&pool, &begun, round * 4 + number)).collect();
        assert_eq!(calls.iter().map(|(_, thread)| *thread).collect::<HashSet<_>>().len(), 4);
        drop(calls);
        if round % 2 == 0 {
            until(|| pool.alive() == 0);
            assert!(retired.swap(0, Ordering::SeqCst) >= 4, "each calls retire");
        } else {
            // Possibly just as they are about to end.
            until(|| pool.busy() == 0);
        }
    }
    assert_eq!((pool.stop(LONG), sleeping(&pool), serving(&pool)), (0, 0, 0));
}

#[test]
fn a_job_for_which_the_system_gives_no_thread_is_given_back_and_the_pool_goes_on_with_those_it_has() {
    let left = Arc::new(AtomicUsize::new(2));
    let given = Arc::clone(&left);
    let few = move |name: String, body: Box<dyn FnOnce() + Send>| {
        let take = |left: usize| left.checked_sub(1);
        match given.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(_) => spawn(name, body),
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    };
    let (pool, begun) = calls(8, LONG, Box::new(few));
    let first = begin(&pool, &begun, 1);
    let second = begin(&pool, &begun, 2);
    let refused = |number: usize| pool.submit(Call { number, end: mpsc::channel().1 }).err().map(|call| call.number);
    assert_eq!(refused(3), Some(3), "no thread");
    assert_eq!((pool.busy(), pool.alive(), serving(&pool)), (2, 2, 2));
    let warned = pool.shared.lock().warned;
    assert!(warned.is_some());
    // The system is not asked again for a while, although it has threads.
    left.store(1, Ordering::SeqCst);
    assert_eq!(refused(4), Some(4), "too soon");
    drop(first.0);
    until(|| pool.busy() == 1);
    let (third, thread) = begin(&pool, &begun, 5);
    assert_eq!(thread, first.1, "the free thread");
    pool.shared.lock().short = Instant::now().checked_sub(SHORT);
    let fourth = begin(&pool, &begun, 6);
    assert_eq!(pool.alive(), 3, "the system has another");
    pool.shared.lock().short = Instant::now().checked_sub(SHORT);
    assert_eq!(refused(7), Some(7));
    assert_eq!(pool.shared.lock().warned, warned, "logged once");
    drop((second, third, fourth));
    assert_eq!(pool.stop(LONG), 0);
}

#[test]
fn a_panic_ends_one_job_and_no_thread() {
    let (pool, permit, ends) = gated(1);
    drop(permit);
    pool.submit(13).unwrap();
    assert_eq!(ends.recv_timeout(LONG), Ok(Done::Panicked(13)));
    pool.submit(4).unwrap();
    assert_eq!(ends.recv_timeout(LONG), Ok(Done::Finished(4, 8)));
    assert_eq!(pool.stop(LONG), 0);
}

#[test]
fn a_panic_of_the_submitters_code_costs_no_thread() {
    let (ended, ends) = mpsc::channel();
    let done = move |end| {
        ended.send(()).unwrap();
        assert_ne!(end, Done::Finished(1, ()), "told");
    };
    let pool = Pool::new(1, "test", |number: &u32| *number, |_| (), done, || ());
    pool.submit(1).unwrap();
    ends.recv_timeout(LONG).unwrap();
    pool.submit(2).unwrap();
    ends.recv_timeout(LONG).unwrap();
    assert_eq!(pool.stop(LONG), 0);
}

#[test]
fn stopping_finishes_accepted_work_and_counts_hung_threads() {
    let (pool, permit, ends) = gated(3);
    for number in 1..=3 {
        pool.submit(number).unwrap();
    }
    assert_eq!(pool.stop(Duration::from_millis(20)), 3);
    drop(permit);
    assert_eq!(ends.iter().take(3).count(), 3);
    assert_eq!(pool.stop(LONG), 0);
}

#[test]
fn closures_are_dropped_by_the_time_the_pool_has_stopped() {
    let given = Arc::new(());
    let held = Arc::clone(&given);
    let work = move |_| drop(Arc::clone(&held));
    let pool = Pool::new(2, "test", |number: &u32| *number, work, |_: Done<u32, ()>| (), || ());
    pool.submit(1).unwrap();
    assert_eq!(pool.stop(LONG), 0);
    drop(pool);
    assert_eq!(Arc::strong_count(&given), 1);
}
