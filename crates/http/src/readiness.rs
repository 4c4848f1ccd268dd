//! Whether a write would succeed, asked by `/readyz` and by the pages. The server, which knows its backends, answers.

use async_trait::async_trait;

#[async_trait]
pub trait ReadinessProbe: Send + Sync {
    /// Gives every reason why a write would fail.
    async fn look(&self) -> Result<(), String>;
}
