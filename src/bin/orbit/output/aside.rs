//! Somebody on a thread of his own, who is told things.

use std::{io, thread, time::Duration};

use tokio::sync::{mpsc, oneshot};

/// How long who does not take what he is told is waited for, where a signal has asked the command to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Somebody on a thread of his own, who is told things, and says something in the end.
///
/// Who writes to a pipe waits for its reader, for ever if need be. That must not keep the command from
/// hearing a signal.
pub(crate) struct Aside<N, R> {
    news: mpsc::Sender<N>,
    end: oneshot::Receiver<R>,
}

impl<N: Send + 'static, R: Send + 'static> Aside<N, R> {
    /// Things that wait to be heard.
    const WAITING: usize = 256;
    /// Let `hear` be told things, until there are no more.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub(crate) fn start(hear: impl FnOnce(mpsc::Receiver<N>) -> R + Send + 'static) -> io::Result<Self> {
        let (news, heard) = mpsc::channel(Self::WAITING);
        let (said, end) = oneshot::channel();
        let body = move || {
            // Where nobody waits for the end any more, the process is about to.
            let _ = said.send(hear(heard));
        };
        thread::Builder::new().name("orbit-outputs".into()).spawn(body)?;
        Ok(Aside { news, end })
    }

    /// Wait until there is room for one thing more; none where nobody hears any more.
    pub(crate) async fn room(&self) -> Option<mpsc::Permit<'_, N>> {
        self.news.reserve().await.ok()
    }

    /// Tell something, when there is room for it.
    pub(crate) async fn tell(&self, news: N) {
        if let Some(room) = self.room().await {
            room.send(news);
        }
    }

    /// Tell something, if there is room for it.
    pub(crate) fn tell_at_once(&self, news: N) {
        let _ = self.news.try_send(news);
    }

    /// Tell the last, and wait for what is said in the end; nothing where that takes too long after a signal.
    pub(crate) async fn end(self, last: Option<N>, is_asked_to_end: impl Fn() -> bool) -> Option<R> {
        let Aside { news, end } = self;
        let said = async move {
            if let Some(last) = last {
                let _ = news.send(last).await;
            }
            drop(news);
            end.await.ok()
        };
        tokio::pin!(said);
        loop {
            match tokio::time::timeout(PATIENCE, &mut said).await {
                Ok(said) => return said,
                Err(_) if is_asked_to_end() => return None,
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_come_to_an_end_is_not_waited_for_after_a_signal() {
        let (go, waits) = std::sync::mpsc::channel::<()>();
        let stuck = Aside::<u8, ()>::start(move |_| waits.recv().unwrap_or_default()).unwrap();
        assert!(stuck.end(Some(1), || true).await.is_none());
        drop(go);
    }

    #[tokio::test]
    async fn what_was_told_is_heard_before_the_end() {
        let sum = |mut news: mpsc::Receiver<u32>| std::iter::from_fn(|| news.blocking_recv()).sum::<u32>();
        let aside = Aside::start(sum).unwrap();
        for number in 0..1_000 {
            aside.room().await.unwrap().send(number);
        }
        assert_eq!(aside.end(Some(500), || false).await, Some(500_000));
    }
}
