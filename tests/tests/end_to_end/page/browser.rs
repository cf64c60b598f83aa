//! A real browser without a screen, told what to do over its debugging protocol (CDP).

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use lab::{Namespace, wait_for};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// For a page to come to a state, on a machine that is busy.
const LIMIT: Duration = Duration::from_mins(1);

/// A browser with one page open; ended when dropped.
pub(crate) struct Browser {
    process: Child,
    socket: WebSocket<TcpStream>,
    session: Value,
    last: u64,
    /// What the page has asked for, as URLs.
    pub(crate) requests: Vec<String>,
    /// What the page's scripts and its policy had to complain of.
    pub(crate) complaints: Vec<String>,
}

impl Browser {
    /// Starts it in a namespace, with its files in a directory of the lab's.
    pub(crate) fn start(namespace: &Namespace, directory: &Path) -> Result<Self> {
        let mut process = namespace
            .command("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args(["--remote-debugging-port=0", "--hide-scrollbars", "about:blank"])
            .arg(format!(
                "--user-data-dir={}",
                directory.join("chromium").display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start chromium")?;
        let url = debugging_url(&mut process)?;
        let address = url
            .trim_start_matches("ws://")
            .split('/')
            .next()
            .context("no address")?
            .to_owned();
        let stream = namespace.run(move || Ok(TcpStream::connect(address)?))?;
        stream.set_read_timeout(Some(LIMIT))?;
        let (socket, _) = tungstenite::client(url.as_str(), stream).context("the browser does not answer")?;
        let mut browser = Self {
            process,
            socket,
            session: Value::Null,
            last: 0,
            requests: Vec::new(),
            complaints: Vec::new(),
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }))?;
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = browser.call("Target.attachToTarget", &attached)?["sessionId"].clone();
        for domain in ["Network", "Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), &json!({}))?;
        }
        Ok(browser)
    }

    /// Sends these credentials from now on.
    pub(crate) fn log_in(&mut self, name: &str, password: &str) -> Result<()> {
        let credentials = STANDARD.encode(format!("{name}:{password}"));
        let headers = json!({ "headers": { "Authorization": format!("Basic {credentials}") } });
        self.call("Network.setExtraHTTPHeaders", &headers).map(drop)
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, url: &str) -> Result<()> {
        let opened = self.call("Page.navigate", &json!({ "url": url }))?;
        ensure!(opened["errorText"].is_null(), "{url} cannot be opened: {opened}");
        self.wait_until("document.readyState === 'complete'").map(drop)
    }

    /// Shows pages in a size, on a phone or not, light or dark.
    pub(crate) fn look(&mut self, (width, height): (u32, u32), phone: bool, theme: &str) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.call("Emulation.setDeviceMetricsOverride", &size)?;
        let theme = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.call("Emulation.setEmulatedMedia", &theme).map(drop)
    }

    /// The value of an expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", &asked)?;
        ensure!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        Ok(answer["result"]["value"].take())
    }

    /// Waits until an expression is true in the page.
    pub(crate) fn wait_until(&mut self, expression: &str) -> Result<()> {
        let what = format!("the page to have `{expression}`");
        // While a page is changing for another, nothing can be asked.
        let look = || {
            Ok(self
                .evaluate(expression)
                .is_ok_and(|found| found == true)
                .then_some(()))
        };
        wait_for(&what, LIMIT, look).map(drop)
    }

    /// Keeps what the page looks like.
    pub(crate) fn picture(&mut self, file: &Path) -> Result<()> {
        let picture = self.call("Page.captureScreenshot", &json!({ "format": "png" }))?;
        let data = picture["data"].as_str().context("no picture")?;
        fs::write(file, STANDARD.decode(data)?).with_context(|| format!("cannot write {}", file.display()))
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Result<Value> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.socket.send(Message::text(message.to_string()))?;
        loop {
            let Message::Text(text) = self.socket.read().context("the browser has fallen silent")? else {
                continue;
            };
            let mut said: Value = serde_json::from_str(&text)?;
            if said["id"] == self.last {
                if !said["error"].is_null() {
                    bail!("{method}: {}", said["error"]);
                }
                return Ok(said["result"].take());
            }
            self.note(&said);
        }
    }

    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                self.requests
                    .extend(parameters["request"]["url"].as_str().map(str::to_owned));
            }
            Some("Runtime.exceptionThrown") => self.complaints.push(parameters.to_string()),
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                self.complaints.push(parameters["entry"].to_string());
            }
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself, which is as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where it can be told what to do: it says so when it can.
fn debugging_url(process: &mut Child) -> Result<String> {
    let said = process.stderr.take().context("no standard error")?;
    let mut lines = BufReader::new(said).lines();
    let url = lines.find_map(|line| Some(line.ok()?.strip_prefix("DevTools listening on ")?.to_owned()));
    // It goes on talking, and must not be kept waiting for somebody to listen.
    std::thread::spawn(move || lines.for_each(drop));
    url.context("chromium ended without a word on how to reach it")
}
