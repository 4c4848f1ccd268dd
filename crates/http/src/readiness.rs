//! Port of the readiness check, for `/readyz` and the pages. The server implements it, since it knows the backends.

use async_trait::async_trait;

#[async_trait]
pub trait ReadinessProbe: Send + Sync {
    /// Returns all reasons why a write would fail.
    async fn look(&self) -> Result<(), String>;
}
