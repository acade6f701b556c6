//! TLS under the client, by [`Trust`]: ureq's own supports authorities only.

use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::trust::{Trust, provider};

/// Upgrades plain connections to TLS for https URLs.
#[derive(Debug)]
pub(super) struct Secure(Option<Arc<ClientConfig>>);

impl Secure {
    /// By this trust. Without one no https URL may be called.
    pub(super) fn by(trust: Option<&Trust>) -> Self {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        // The provider selects the safe versions.
        Self(builder.ok().zip(trust).map(|(builder, trust)| {
            let verifier = Arc::new(trust.clone());
            Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
        }))
    }
}

impl<In: Transport> Connector<In> for Secure {
    type Out = Either<In, Stream>;

    fn connect(&self, details: &ConnectionDetails, plain: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(plain) = plain else { return Ok(None) };
        if !details.needs_tls() {
            return Ok(Some(Either::A(plain)));
        }
        let config = self.0.as_ref().ok_or(ureq::Error::Tls("nobody is trusted"))?;
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).unwrap_or_else(|_| Ipv4Addr::UNSPECIFIED.into());
        let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let mut socket = TransportAdapter::new(plain.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Stream { stream: StreamOwned::new(connection, socket), buffers })))
    }
}

/// A TLS connection.
pub(super) struct Stream {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

impl Transport for Stream {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let count = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// The TLS error behind an error of the connection.
pub(super) fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
