//! Objects in buckets: an address that is signed with the user's credentials for some hours, and is then downloaded like any
//! other on a web server, over several connections, resumed and verified.

use std::time::Duration;

use object_store::ClientOptions;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{HttpClient, HttpConnector};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path as ObjectPath;
use object_store::signer::{Method, Signer};
use object_store::{Error, Result, RetryConfig};
use reqwest::Url;

use super::{Access, FetchError};
use crate::net::{self, is_loopback};
use crate::spec::{Keeper, Secret};

/// How long an address is good for: longer than most downloads, which go on under a new one otherwise.
const VALID: Duration = Duration::from_secs(6 * 60 * 60);
/// How long those who give credentials may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for credentials over the same connections as all else.
#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> Result<HttpClient> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Generic { store: "client", source };
        let anywhere = Url::parse("https://credentials.invalid").expect("the address is valid");
        let builder = net::client(&anywhere).map_err(|error| failed(error.into()))?;
        let client = builder.no_proxy().timeout(PATIENCE).build().map_err(|error| failed(error.into()))?;
        Ok(HttpClient::new(client))
    }
}

/// The address of an object, signed where there is something to sign with.
pub(super) async fn address(
    access: &Access,
    keeper: Keeper,
    bucket: &str,
    path: &str,
) -> std::result::Result<String, FetchError> {
    let shown = format!("{}://{bucket}/{path}", keeper.scheme());
    let address = signed(access, keeper, bucket, path).await;
    address.map_err(|error| FetchError::Unsigned { object: shown, reason: super::redact::redact(&reason(&error)) })
}

/// What an error comes down to: the outer ones say where it happened.
fn reason(error: &Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

async fn signed(access: &Access, keeper: Keeper, bucket: &str, path: &str) -> Result<String> {
    let location = ObjectPath::parse(path)?;
    let retry = RetryConfig { max_retries: 0, retry_timeout: PATIENCE, ..RetryConfig::default() };
    let setting = |name: &str| access.object_stores.get(name).map(Secret::expose).filter(|text| !text.is_empty());
    let settings = access.object_stores.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.expose()));
    let signer: Box<dyn Signer> = match keeper {
        Keeper::S3 => {
            if setting("AWS_SKIP_SIGNATURE").is_some_and(is_true) {
                let usual = format!("https://s3.{}.amazonaws.com", setting("AWS_REGION").unwrap_or("us-east-1"));
                return Ok(below(setting(endpoint_of(keeper)).unwrap_or(&usual), bucket, &location));
            }
            let mut builder = AmazonS3Builder::new();
            for (name, value) in settings.filter(|(name, _)| name.starts_with("aws_")) {
                if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            if is_here(access, keeper) {
                builder = builder.with_allow_http(true);
            }
            Box::new(builder.with_bucket_name(bucket).with_http_connector(Connector).with_retry(retry).build()?)
        }
        Keeper::Gs => {
            let mut builder = GoogleCloudStorageBuilder::new();
            let mut has_credentials = false;
            for (name, value) in settings.filter(|(name, _)| name.starts_with("google_")) {
                if let Ok(key) = name.parse::<GoogleConfigKey>() {
                    has_credentials |= !matches!(key, GoogleConfigKey::BaseUrl);
                    builder = builder.with_config(key, value);
                }
            }
            if !has_credentials {
                let endpoint = setting(endpoint_of(keeper)).unwrap_or("https://storage.googleapis.com");
                return Ok(below(endpoint, bucket, &location));
            }
            Box::new(builder.with_bucket_name(bucket).with_http_connector(Connector).with_retry(retry).build()?)
        }
        Keeper::Az => {
            let mut builder = MicrosoftAzureBuilder::new();
            for (name, value) in settings.filter(|(name, _)| name.starts_with("azure_")) {
                if let Ok(key) = name.parse::<AzureConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            if setting("AZURE_SKIP_SIGNATURE").is_some_and(is_true) {
                let account = setting("AZURE_STORAGE_ACCOUNT_NAME").unwrap_or_default();
                let usual = format!("https://{account}.blob.core.windows.net");
                return Ok(below(setting(endpoint_of(keeper)).unwrap_or(&usual), bucket, &location));
            }
            if is_here(access, keeper) {
                builder = builder.with_allow_http(true);
            }
            Box::new(builder.with_container_name(bucket).with_http_connector(Connector).with_retry(retry).build()?)
        }
    };
    Ok(signer.signed_url(Method::GET, &location, VALID).await?.into())
}

fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes")
}

/// The address of an object that anybody may read.
fn below(endpoint: &str, bucket: &str, path: &ObjectPath) -> String {
    format!("{}/{bucket}/{path}", endpoint.trim_end_matches('/'))
}

/// The setting that names another server than the keeper's own.
fn endpoint_of(keeper: Keeper) -> &'static str {
    match keeper {
        Keeper::S3 => "AWS_ENDPOINT_URL",
        Keeper::Gs => "GOOGLE_BASE_URL",
        Keeper::Az => "AZURE_STORAGE_ENDPOINT",
    }
}

/// Whether a bucket of this keeper is on this machine.
pub(super) fn is_here(access: &Access, keeper: Keeper) -> bool {
    let endpoint = access.object_stores.get(endpoint_of(keeper));
    endpoint.is_some_and(|url| url.expose().parse().is_ok_and(|url| is_loopback(&url)))
}
