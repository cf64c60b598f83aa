//! The stats page: the statistics as one HTML document that needs nothing else, no script and no other file.

use std::sync::LazyLock;

use askama::Template;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::{ServiceState, Statistics, format};
use crate::config;

/// The page's style, a text of its own so that the policy can name its hash.
const STYLE: &str = include_str!("../../templates/stats.css");

/// The Content-Security-Policy the page works under: its own style sheet and nothing else.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// The page for one moment's statistics.
#[derive(Template)]
#[template(path = "stats.html")]
pub struct Page<'a> {
    title: &'a str,
    version: Option<&'a str>,
    statistics: &'a Statistics,
}

impl<'a> Page<'a> {
    /// The page, as `[stats]` wants it.
    #[must_use]
    pub fn new(statistics: &'a Statistics, settings: &'a config::types::Stats) -> Self {
        let version = (!settings.hide_version).then_some(statistics.version.as_str());
        Self {
            title: &settings.realm,
            version,
            statistics,
        }
    }

    fn services_up(&self) -> usize {
        self.statistics
            .services
            .iter()
            .filter(|service| service.state == ServiceState::Up)
            .count()
    }

    /// Reasons with their counts, the commonest first; and those that were never counted.
    fn reasons(&self) -> (Vec<(&str, u64)>, Vec<&str>) {
        let reasons = self.statistics.packets.reasons.iter();
        let (mut counted, never): (Vec<_>, Vec<_>) = reasons
            .map(|(reason, count)| (reason.as_str(), *count))
            .partition(|(_, count)| *count > 0);
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        (counted, never.into_iter().map(|(reason, _)| reason).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sample;

    fn page(hide_version: bool) -> String {
        let settings = config::types::Stats {
            bind: "127.0.0.1:1080".parse().expect("an address"),
            uri: "/stats".to_owned(),
            hide_version,
            realm: "Staging <1>".to_owned(),
        };
        Page::new(&sample::statistics(), &settings)
            .render()
            .expect("a page")
    }

    #[test]
    fn the_page_shows_services_backends_and_reasons() {
        let page = page(false);
        for part in [
            "0 of 1 services up · Staging",
            "Ballast 1.2.3 · xdp · running for 1d 2h",
            "<dd>3,998,759</dd>",
            "<code>10.0.0.100:9030</code> <code>[fd00::100]:9030</code>",
            r#"<span class="state degraded">degraded</span>"#,
            r#"<span class="state drain">drain</span><small>for 3m 5s</small>"#,
            "HTTP 200 in 3 ms",
            "66.7 %",
            "3.2 GiB<small>2,345,678 packets</small>",
            r#"<td class="number" data-label="Retries">7<small>2 refused</small></td>"#,
            r#"<code>fragment</code></th><td class="number">1,234</td>"#,
            "Never seen: 2",
        ] {
            assert!(page.contains(part), "{part:?} is missing in\n{page}");
        }
    }

    #[test]
    fn the_version_is_hidden_where_that_is_wished() {
        assert!(!page(true).contains("1.2.3"));
    }

    #[test]
    fn text_from_outside_is_escaped() {
        let page = page(false);
        assert!(!page.contains("<b>") && !page.contains("<1>"), "{page}");
        assert!(page.contains("&#60;b&#62;"), "{page}");
    }

    #[test]
    fn the_policy_names_the_style_that_is_sent() {
        let page = page(false);
        let style = page
            .split_once("<style>")
            .and_then(|(_, rest)| rest.split_once("</style>"));
        let hash = STANDARD.encode(Sha256::digest(style.expect("a style element").0));
        assert!(CONTENT_SECURITY_POLICY.contains(&format!("style-src 'sha256-{hash}'")));
        assert!(
            !page.contains("style="),
            "a style attribute would be refused by the policy"
        );
    }
}
