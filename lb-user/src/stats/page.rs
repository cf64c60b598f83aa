//! The stats page: the statistics as one HTML document that can be read without its scripts, and asks nobody but this host
//! for anything.

use std::sync::LazyLock;

use askama::Template;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lb_common::Reason;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{ServiceState, Statistics, format};
use crate::config;

/// The page's style, a text of its own so that the policy can name its hash.
pub(crate) const STYLE: &str = include_str!("../../templates/stats.css");

/// A file that the page asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Its name below the page's path.
    pub name: &'static str,
    /// Its content type.
    pub kind: &'static str,
    /// Its content.
    pub text: &'static str,
}

/// All of them.
pub const ASSETS: [Asset; 3] = [
    Asset {
        name: "uplot.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("../../assets/uplot.js"),
    },
    Asset {
        name: "uplot.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("../../assets/uplot.css"),
    },
    Asset {
        name: "page.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("../../assets/page.js"),
    },
];

/// The Content-Security-Policy the page works under: its own style, and files and answers of this host.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}' 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
});

/// The page for one moment's statistics.
#[derive(Template)]
#[template(path = "stats.html")]
pub struct Page<'a> {
    title: &'a str,
    /// Its path, and what is before the names of its files.
    uri: &'a str,
    base: &'a str,
    version: Option<&'a str>,
    statistics: &'a Statistics,
    /// The same as a document, for the charts.
    figures: String,
    /// What its forms carry; none for who may only look.
    token: Option<&'a str>,
}

impl<'a> Page<'a> {
    /// The page, as `[stats]` wants it, with forms that carry `token` if there is one.
    #[must_use]
    pub fn new(
        statistics: &'a Statistics,
        settings: &'a config::types::Stats,
        token: Option<&'a str>,
    ) -> Self {
        let version = (!settings.hide_version).then_some(statistics.version.as_str());
        let mut told = statistics.clone();
        version.unwrap_or_default().clone_into(&mut told.version);
        let figures = serde_json::to_string(&told).unwrap_or_else(|_| "{}".to_owned());
        Self {
            title: &settings.realm,
            uri: &settings.uri,
            base: base(settings),
            version,
            statistics,
            // Nothing within may end the element that it stands in.
            figures: figures.replace('<', "\\u003c"),
            token,
        }
    }

    /// A reason as a sentence.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    fn in_words(&self, name: &str) -> &'static str {
        let reason = Reason::ALL.iter().find(|reason| reason.name() == name);
        reason.map_or("", |reason| reason.description())
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

/// What is before the names of the page's files.
#[must_use]
pub fn base(settings: &config::types::Stats) -> &str {
    settings.uri.trim_end_matches('/')
}

/// What asks before it is done, where no script did; or says why it was not.
#[derive(Template)]
#[template(path = "confirm.html")]
pub struct Confirmation<'a> {
    /// Title of the page.
    pub title: &'a str,
    /// Path of the page.
    pub uri: &'a str,
    /// What is asked or said.
    pub question: &'a str,
    /// What is done after a yes.
    pub form: Option<&'a Form>,
}

/// What a form of the page says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Form {
    /// What the page had for it to carry.
    #[serde(default)]
    pub token: String,
    /// What is to be done.
    pub action: Action,
    /// The service's name.
    pub service: String,
    /// The backend's name.
    pub backend: String,
    /// The new weight, where that is what is to be changed.
    #[serde(default)]
    pub weight: String,
    /// `yes`, once somebody was asked.
    #[serde(default)]
    pub confirmed: String,
}

/// What can be done from the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Let it take flows.
    Ready,
    /// Let it take no new flows.
    Drain,
    /// The same, and check it no more.
    Maint,
    /// Change its share of new flows.
    Weight,
}

impl Action {
    /// The form's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
            Self::Weight => "weight",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sample;

    fn page(hide_version: bool, token: Option<&str>) -> String {
        let settings = config::types::Stats {
            bind: "127.0.0.1:1080".parse().expect("an address"),
            uri: "/stats".to_owned(),
            hide_version,
            realm: "Staging <1>".to_owned(),
            users: Vec::new(),
            tls: None,
        };
        Page::new(&sample::statistics(), &settings, token)
            .render()
            .expect("a page")
    }

    #[test]
    fn the_page_shows_services_backends_and_reasons() {
        let page = page(false, None);
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
            r#"<td class="number" data-label="Retries" data-value="7">7<small>2 refused</small><small>3 reset</small></td>"#,
            r#"<code>fragment</code></th><td class="number">1,234</td><td>"#,
            "A fragment without ports to go by",
            "40 at most",
            "Never seen: 2",
        ] {
            assert!(page.contains(part), "{part:?} is missing in\n{page}");
        }
    }

    #[test]
    fn who_may_only_look_sees_no_forms() {
        assert!(!page(false, None).contains("<form"));
        let forms = page(false, Some("t0ken"));
        assert_eq!(
            forms.matches(r#"name="token" value="t0ken""#).count(),
            5,
            "one for each backend"
        );
    }

    #[test]
    fn the_version_is_hidden_where_that_is_wished() {
        assert!(!page(true, None).contains("1.2.3"));
    }

    #[test]
    fn text_from_outside_is_escaped() {
        let page = page(false, None);
        assert!(!page.contains("<b>") && !page.contains("<1>"), "{page}");
        assert!(page.contains("&#60;b&#62;"), "{page}");
    }

    #[test]
    fn the_policy_names_the_style_that_is_sent() {
        let page = page(false, None);
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
