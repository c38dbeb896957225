//! Who may call: before anything else of a request is looked at.

use std::sync::Arc;

use http::Extensions;
use tonic::transport::server::TlsConnectInfo;
use tonic::{Request, Status};

use super::accept::Line;
use crate::token::Token;

/// Those who have the token.
#[derive(Clone, Debug)]
pub(crate) struct Admission(pub(crate) Arc<Token>);

impl Admission {
    /// By the header `authorization`; the connection that the call came by.
    pub(crate) fn admit(
        &self,
        given: Option<&[u8]>,
        extensions: &Extensions,
    ) -> Result<Option<Arc<Line>>, Status> {
        match given {
            Some(given) if self.0.is_in(given) => {
                let encrypted = extensions.get::<TlsConnectInfo<Arc<Line>>>();
                let line = encrypted.map(|info| info.get_ref().clone()).or_else(|| extensions.get().cloned());
                line.iter().for_each(|line: &Arc<Line>| line.was_admitted());
                Ok(line)
            }
            Some(_) => Err(Status::unauthenticated("the token is not this server's")),
            None => {
                let text = "no token came: the header `authorization` is to be `Bearer TOKEN`";
                Err(Status::unauthenticated(text))
            }
        }
    }

    pub(crate) fn intercept(&self, request: Request<()>) -> Result<Request<()>, Status> {
        let given = request.metadata().get("authorization").map(|given| given.as_bytes().to_vec());
        self.admit(given.as_deref(), request.extensions())?;
        Ok(request)
    }
}
