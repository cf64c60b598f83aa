//! The stats page as people see it: in a real browser, under load, by a user who may change something and by one who may
//! not.

mod browser;

use std::{fs, net::IpAddr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::future::join_all;
use lab::{
    DaemonConfig, Family, Lab,
    load::{Requests, block_on},
};
use nix::unistd::{SysconfVar, sysconf};
use reqwest::{Client, StatusCode};

use self::browser::Browser;
use crate::story::{in_lab, usual};

/// Of all users.
pub(crate) const PASSWORD: &str = "a password for tests";
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn the_page_lives_in_both_themes_and_on_a_phone_and_asks_nobody_else() {
    in_lab(usual(), |lab| {
        let mut browser = open_as(lab, "boss")?;
        browser.evaluate("window.mark = 'never loaded again'")?;
        for (name, size, phone, theme) in [
            ("light", (1280, 1000), false, "light"),
            ("dark", (1280, 1000), false, "dark"),
            ("phone", (390, 844), true, "light"),
        ] {
            browser.look(size, phone, theme)?;
            browser.evaluate(&format!(
                "localStorage.clear(); document.documentElement.dataset.theme = '{theme}'"
            ))?;
            let seen = browser.evaluate("Number(document.documentElement.dataset.updates ?? 0)")?;
            Requests::new(lab.web(Family::V4), 300).run(lab.client())?;
            Requests::new(lab.web(Family::V6), 200).run(lab.client())?;
            browser.wait_until(&format!(
                "Number(document.documentElement.dataset.updates) > {seen} + 2"
            ))?;
            let fits = browser.evaluate("document.documentElement.scrollWidth <= innerWidth")?;
            browser.picture(&pictures()?.join(format!("stats-{name}.png")))?;
            ensure!(fits == true, "{name}: the page is wider than the screen");
        }
        let flows = "[...document.querySelectorAll('#service-web [data-label=Flows]')].pop().textContent";
        ensure!(
            browser
                .evaluate(flows)?
                .as_str()
                .is_some_and(|text| text.contains("900 in all")),
            "{}",
            browser.evaluate(flows)?
        );
        ensure!(browser.evaluate("document.querySelectorAll('#charts canvas').length")? == 4);
        ensure!(
            browser.evaluate("window.mark")? == "never loaded again",
            "it was loaded again"
        );
        browser.evaluate("const filter = document.getElementById('filter'); filter.value = 'echo6 be2'; filter.dispatchEvent(new Event('input'))")?;
        let shown =
            browser.evaluate("document.querySelectorAll('.backends tbody tr:not([hidden])').length")?;
        ensure!(shown == 1, "the filter leaves {shown}");
        let strangers: Vec<_> = browser.requests.iter().filter(|url| !is_ours(url)).collect();
        ensure!(
            browser.requests.len() > 5 && strangers.is_empty(),
            "asked {strangers:?}"
        );
        ensure!(browser.complaints.is_empty(), "{:?}", browser.complaints);
        Ok(())
    });
}

#[test]
fn an_administrator_drains_a_backend_and_its_new_flows_stop() {
    in_lab(usual(), |lab| {
        let mut browser = open_as(lab, "boss")?;
        browser.evaluate("window.confirm = () => true")?;
        browser.evaluate(
            "document.querySelector('form[data-backend=\"web/be1\"] button[value=drain]').click()",
        )?;
        lab.daemon()?.wait_for_state("web", "be1", "drain", LIMIT)?;
        let report = Requests::new(lab.web(Family::V4), 300).run(lab.client())?;
        ensure!(
            report.failed == 0 && !report.answered.contains_key("be1"),
            "{report}"
        );
        browser.wait_until("document.querySelector('#service-web .state.drain') !== null")?;
        Ok(())
    });
}

#[test]
fn a_viewer_and_another_sites_page_change_nothing() {
    in_lab(usual(), |lab| {
        let mut browser = open_as(lab, "guest")?;
        ensure!(browser.evaluate("document.querySelectorAll('form').length")? == 0);
        let order = "fetch('/api/v1/rollback', { method: 'POST', headers: { 'content-type': 'application/json' } }).then((answer) => answer.status)";
        ensure!(browser.evaluate(order)? == 403, "a viewer has given an order");

        browser.log_in("boss", PASSWORD)?;
        let target = url();
        browser.open(&format!(
            "data:text/html,<form method=post action={target}><input name=action value=drain><input name=service value=web>\
             <input name=backend value=be1><input name=confirmed value=yes></form>"
        ))?;
        browser.evaluate("document.forms[0].submit()")?;
        browser.wait_until("document.body.textContent.includes(\"another site's page\")")?;
        ensure!(lab.daemon()?.backend_state("web", "be1")? == "up");
        Ok(())
    });
}

#[test]
fn a_thousand_guesses_are_refused_and_nobody_else_notices() {
    in_lab(usual(), |lab| {
        start_with_users(lab)?;
        let load = Requests::steady(lab.web(Family::V4)).start(lab.client());
        let cpu = cpu_time(lab)?;
        let (wrong, too_many) = lab.balancer().run(|| block_on(guess(1000)))?;
        let cpu = cpu_time(lab)?.saturating_sub(cpu);
        println!("{wrong} guesses weighed, {too_many} refused unheard, {cpu:?} of CPU time");
        ensure!(wrong == 10 && too_many == 990);
        // Ten hashes, and a thousand requests to read.
        ensure!(cpu < Duration::from_secs(5), "{cpu:?}");
        let (elsewhere, here) = (ask_from([127, 0, 0, 2]), ask_from([127, 0, 0, 1]));
        let statuses = lab
            .balancer()
            .run(|| block_on(async { Ok((elsewhere.await?, here.await?)) }))?;
        ensure!(
            statuses == (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS),
            "{statuses:?}"
        );
        let report = load.stop()?;
        ensure!(report.failed == 0 && report.total_answered() > 0, "{report}");
        Ok(())
    });
}

/// Guesses so many passwords, fifty at a time: how many were wrong, and how many nobody listened to.
async fn guess(count: usize) -> Result<(usize, usize)> {
    let client = Client::new();
    let (mut wrong, mut too_many) = (0, 0);
    for _ in 0..count / 50 {
        let guesses = (0..50).map(|guess| client.get(url()).basic_auth("boss", Some(guess)).send());
        for answer in join_all(guesses).await {
            match answer?.status() {
                StatusCode::UNAUTHORIZED => wrong += 1,
                StatusCode::TOO_MANY_REQUESTS => too_many += 1,
                other => bail!("a guess was answered with {other}"),
            }
        }
    }
    Ok((wrong, too_many))
}

/// What the right password gets, from one of the host's addresses.
async fn ask_from(address: [u8; 4]) -> Result<StatusCode> {
    let client = Client::builder().local_address(IpAddr::from(address)).build()?;
    let request = client.get(url()).basic_auth("boss", Some(PASSWORD));
    Ok(request.send().await?.status())
}

/// CPU time that the daemon has had.
fn cpu_time(lab: &Lab) -> Result<Duration> {
    let pid = lab.daemon()?.status()?.pid;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may have blanks, from the third field on (proc(5)).
    let (_, fields) = stat.rsplit_once(')').context("no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>()?;
    let second = sysconf(SysconfVar::CLK_TCK)?.context("no clock")?;
    Ok(Duration::from_millis(1000 * ticks / u64::try_from(second)?))
}

/// The page, opened by a user, with its daemon running.
fn open_as(lab: &mut Lab, user: &str) -> Result<Browser> {
    start_with_users(lab)?;
    let mut browser = Browser::start(lab.balancer(), lab.directory().path())?;
    browser.look((1280, 1000), false, "light")?;
    browser.log_in(user, PASSWORD)?;
    browser.open(&url())?;
    Ok(browser)
}

/// Starts the daemon with an administrator and a viewer.
pub(crate) fn start_with_users(lab: &mut Lab) -> Result<()> {
    let hash = hash(lab)?;
    let users = format!(
        "uri = \"/stats\"\nusers = [\n  {{ name = \"boss\", password_hash = \"{hash}\", role = \"admin\" }},\n  \
         {{ name = \"guest\", password_hash = \"{hash}\" }},\n]\n"
    );
    let text = lab.config().to_toml().replace("uri = \"/stats\"\n", &users);
    lab.start_daemon_on(&text).map(drop)
}

/// What `ballast passwd` makes of the password.
fn hash(lab: &Lab) -> Result<String> {
    let mut passwd = lab.ballast()?;
    let mut passwd = passwd
        .arg("passwd")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = passwd.stdin.take().context("no standard input")?;
    std::io::Write::write_all(&mut input, format!("{PASSWORD}\n").as_bytes())?;
    drop(input);
    let output = passwd.wait_with_output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn url() -> String {
    format!("http://{}/stats", DaemonConfig::STATS_ADDRESS)
}

fn is_ours(url: &str) -> bool {
    let ours = format!("http://{}/", DaemonConfig::STATS_ADDRESS);
    url.starts_with(&ours) || url.starts_with("data:")
}

/// Where the pictures go, which are fit for the README.
fn pictures() -> Result<PathBuf> {
    let directory = lab::target_directory()?.join("screenshots");
    fs::create_dir_all(&directory)?;
    Ok(directory)
}
