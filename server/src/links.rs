//! Absolute URLs of this server, as its client reaches it: `--public-url`, else what a trusted proxy or the client itself says.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::HOST;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a segment of a path keeps as it is: RFC 3986's unreserved characters, and those that cannot be mistaken in one.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'+').remove(b':');
/// The same for a value in a query, where `+` is a space.
const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b',').remove(b':');
/// Characters of a host or a prefix that a proxy may say.
const FORWARDED_BYTES_MAX: usize = 512;

/// Where a server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    /// Scheme, host and path of the mount point, without a slash at the end.
    base: String,
}

/// A network of proxies that are believed: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedProxy {
    address: IpAddr,
    bits: u8,
}

impl TrustedProxy {
    /// Reads an address or a network, such as `10.0.0.0/8`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.trim().parse().ok().filter(|bits| *bits <= most))?;
        Some(Self { address, bits })
    }

    /// Whether an address is in the network.
    pub(crate) fn contains(&self, peer: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, true),
            IpAddr::V6(v6) => {
                v6.to_ipv4_mapped().map_or((u128::from(v6), false), |v4| (u128::from(u32::from(v4)) << 96, true))
            }
        };
        let ((mine, v4), (its, its_v4)) = (bits(self.address), bits(peer));
        let differing = (mine ^ its).checked_shr(128 - u32::from(self.bits)).unwrap_or(0);
        v4 == its_v4 && differing == 0
    }
}

impl Links {
    /// Of a request: its headers, and whether its peer is a proxy that is believed.
    pub(crate) fn of(headers: &HeaderMap, public_url: Option<&str>, base_path: &str, trusted: bool) -> Self {
        if let Some(url) = public_url {
            return Self { base: url.trim_end_matches('/').to_owned() };
        }
        let header = |name: &str| {
            // Proxies add to what there is: what the nearest one says comes last.
            let value = headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
            (!value.is_empty() && value.len() <= FORWARDED_BYTES_MAX).then_some(value)
        };
        let said = |name: &str| header(name).filter(|_| trusted);
        let scheme = said("x-forwarded-proto").filter(|proto| matches!(*proto, "http" | "https")).unwrap_or("http");
        let is_host = |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]_".contains(&b));
        let host = said("x-forwarded-host").filter(is_host).or_else(|| header(HOST.as_str()).filter(is_host));
        let is_path = |path: &&str| {
            path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\?#".contains(&b))
        };
        let prefix = said("x-forwarded-prefix").filter(is_path).unwrap_or("").trim_end_matches('/');
        Self { base: format!("{scheme}://{}{prefix}{base_path}", host.unwrap_or("localhost")) }
    }

    /// An absolute URL of a path that is encoded already.
    pub(crate) fn to(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }
}

/// A key value as one segment of a path. A lone `*` would mean any value, `.` and `..` other places.
pub fn segment(value: &str) -> String {
    match value {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        value => utf8_percent_encode(value, SEGMENT).to_string(),
    }
}

/// A value in a query.
pub(crate) fn query_value(value: &str) -> String {
    utf8_percent_encode(value, QUERY).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let said = headers(&[
            ("host", "tiles.internal:5000"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example, maps.example.org"),
            ("x-forwarded-prefix", "/kiln/"),
        ]);
        assert_eq!(Links::of(&said, None, "/m", false).to("keys"), "http://tiles.internal:5000/m/keys");
        assert_eq!(Links::of(&said, None, "", true).to("keys"), "https://maps.example.org/kiln/keys");
        assert_eq!(Links::of(&said, Some("https://a.example/b/"), "/m", true).to("keys"), "https://a.example/b/keys");
        let odd = headers(&[("host", "a\"b"), ("x-forwarded-proto", "javascript"), ("x-forwarded-prefix", "/a<b")]);
        assert_eq!(Links::of(&odd, None, "", true).to("x"), "http://localhost/x");
    }

    #[test]
    fn networks_are_compared_by_their_bits() {
        let network = TrustedProxy::parse("10.1.0.0/16").unwrap();
        assert!(
            network.contains("10.1.200.3".parse().unwrap()) && network.contains("::ffff:10.1.0.1".parse().unwrap())
        );
        assert!(!network.contains("10.2.0.1".parse().unwrap()) && !network.contains("::1".parse().unwrap()));
        assert!(TrustedProxy::parse("::/0").unwrap().contains("2001:db8::1".parse().unwrap()));
        assert!(TrustedProxy::parse("127.0.0.1").unwrap().contains("127.0.0.1".parse().unwrap()));
        for bad in ["", "10.0.0.0/33", "host", "10.0.0.0/x"] {
            assert_eq!(TrustedProxy::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_segment_is_never_taken_for_something_else() {
        assert_eq!(
            (segment("a/b c*é"), segment(".."), segment("*")),
            ("a%2Fb%20c%2A%C3%A9".into(), "%2E%2E".into(), "%2A".into())
        );
        assert_eq!(query_value("[1,\"p2\"]+"), "%5B1,%22p2%22%5D%2B");
    }
}
