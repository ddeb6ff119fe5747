//! `awaited!`: what is asked for step by step, and begins with `.await`.

/// `awaited!(Deletion => DeleteReport)`: to await the one is to run it, and gives the other.
macro_rules! awaited {
    ($asked:ty => $answer:ty) => {
        impl IntoFuture for $asked {
            type Output = $crate::Result<$answer>;
            type IntoFuture = futures::future::BoxFuture<'static, $crate::Result<$answer>>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.run())
            }
        }
    };
}

pub(crate) use awaited;
