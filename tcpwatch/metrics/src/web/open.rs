//! From an accepted connection to one that carries HTTP: the handshake of TLS, if there is one.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::stream::Stream;

/// What HTTP is read from and written to.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

/// A connection that carries HTTP.
pub(super) struct OpenedConnection {
    pub(super) carrier: Box<dyn Carrier>,
    /// The client speaks HTTP where TLS is expected.
    pub(super) lacks_tls: bool,
}

/// Takes as long as the client likes; the caller bounds it.
///
/// # Errors
/// If the client goes away, or the handshake fails.
pub(super) async fn open(
    tcp: TcpStream,
    wrap: impl FnOnce(TcpStream) -> Stream,
    tls: Option<Arc<ServerConfig>>,
) -> io::Result<OpenedConnection> {
    let Some(tls) = tls else {
        return Ok(OpenedConnection { carrier: Box::new(wrap(tcp)), lacks_tls: false });
    };
    let mut first = [0];
    let peeked = tcp.peek(&mut first).await;
    // From here on it is reset unless it ends in order.
    let stream = wrap(tcp);
    let [first] = first;
    // A record of TLS begins with its type, 20 to 24 (RFC 8446, section 5.1), a request with a method.
    if peeked? > 0 && first.is_ascii_uppercase() {
        return Ok(OpenedConnection { carrier: Box::new(stream), lacks_tls: true });
    }
    let carrier = Box::new(TlsAcceptor::from(tls).accept(stream).await?);
    Ok(OpenedConnection { carrier, lacks_tls: false })
}
