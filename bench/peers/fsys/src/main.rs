//! Records a second of a journal of fsys, on one line.
//!
//!   fsys-peer PATH commit COMMITTERS MILLISECONDS WINDOW
//!   fsys-peer PATH write COUNT BYTES
//!   fsys-peer PATH batch COUNT TURNS
//!
//! Committers are threads: each appends 64 bytes and syncs through them. WINDOW is how long, in
//! microseconds, one who syncs waits for others; 0 is not at all, `default` what the crate does.

use fsys::{builder, JournalHandle, JournalOptions, Lsn, Result};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// As much as ours reserves for its segment; the crate has no way to write it with zeros.
const RESERVED: u64 = 16 << 20;

fn opened(path: &Path, window: &str) -> Result<JournalHandle> {
    let options = match window {
        "default" => JournalOptions::new(),
        "0" => JournalOptions::new().group_commit_window(None),
        other => {
            let window = Duration::from_micros(other.parse().expect("microseconds"));
            JournalOptions::new().group_commit_window(Some(window))
        }
    };
    let journal = builder().build()?.journal_with(path, options)?;
    journal.preallocate(0, RESERVED)?;
    Ok(journal)
}

fn commit(journal: &JournalHandle, committers: u64, time: Duration) -> Result<f64> {
    let count = AtomicU64::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let run = || -> Result<()> {
            let record = [7u8; 64];
            while began.elapsed() < time {
                let lsn = journal.append(&record)?;
                journal.sync_through(lsn)?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let threads: Vec<_> = (0..committers).map(|_| scope.spawn(run)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a committer"))
    })?;
    Ok(count.into_inner() as f64 / began.elapsed().as_secs_f64())
}

fn write(journal: &JournalHandle, count: u64, bytes: usize) -> Result<f64> {
    let record = vec![7u8; bytes];
    let began = Instant::now();
    let mut last = Lsn::ZERO;
    for _ in 0..count {
        last = journal.append(&record)?;
    }
    journal.sync_through(last)?;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

fn batch(journal: &JournalHandle, count: usize, turns: u64) -> Result<f64> {
    let record = [3u8; 150];
    let records = vec![&record[..]; count];
    let began = Instant::now();
    for _ in 0..turns {
        let lsn = journal.append_batch(&records)?;
        journal.sync_through(lsn)?;
    }
    Ok((count as u64 * turns) as f64 / began.elapsed().as_secs_f64())
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| -> u64 { words[index].parse().expect("a number") };
    let path = Path::new(&words[0]);
    let window = words.get(4).map_or("default", String::as_str);
    let journal = opened(path, window)?;
    let rate = match words[1].as_str() {
        "commit" => commit(&journal, number(2), Duration::from_millis(number(3)))?,
        "write" => write(&journal, number(2), number(3) as usize)?,
        "batch" => batch(&journal, number(2) as usize, number(3))?,
        other => panic!("commit, write or batch, not {other}"),
    };
    println!("{rate}");
    journal.close()
}
