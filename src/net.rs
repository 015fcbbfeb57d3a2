//! What every outgoing connection has in common: the HTTP client's name, TLS, and no proxy before this machine's own
//! addresses.
//!
//! Never knows what is asked or fetched. Start at [`client`].

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::{ClientBuilder, Url};

/// Begins a client for requests to `url` and what lies near it.
///
/// TLS is done by `ring` with the platform's roots, and handed over whole: otherwise its provider would be a process-wide
/// one.
///
/// # Errors
/// The platform's roots cannot be read, and `url` needs them.
pub fn client(url: &Url) -> Result<ClientBuilder, rustls::Error> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("evalflow/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls(url)?);
    // A proxy's loopback is another machine.
    Ok(if is_loopback(url) { builder.no_proxy() } else { builder })
}

fn tls(url: &Url) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let mut tls = match rustls_platform_verifier::Verifier::new(provider) {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth(),
        // A machine without certificates can still ask a server without TLS.
        Err(_) if url.scheme() == "http" => {
            builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        }
        Err(error) => return Err(error),
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// Whether `url` names this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_only() {
        let cases = [
            ("http://127.0.0.1:80", true),
            ("http://[::1]:80", true),
            ("http://localhost", true),
            ("http://localhost.example", false),
            ("http://127.0.0.1.example", false),
            ("http://10.0.0.1", false),
        ];
        for (url, expected) in cases {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
