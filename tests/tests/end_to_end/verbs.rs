//! Every verb of the command line and every operation of the API, as the program itself names them, told to a running
//! daemon under load. One that is new fails here until somebody says what it must do.

use std::{env, fs, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use clap::CommandFactory as _;
use lab::{
    DaemonConfig, Family, Lab, Role,
    load::{Requests, block_on},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::{
    connection::Connection,
    page::{PASSWORD, start_with_users},
    story::{Asks as _, in_lab, usual, with_daemon},
};

/// The type of a pcapng file's first block, the same in either byte order.
const PCAPNG: &[u8] = b"\n\r\r\n";

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn every_verb_does_its_work_under_load() {
    with_daemon(usual(), |lab| {
        let verbs = verbs();
        ensure!(verbs.len() > 20, "{verbs:?}");
        under_load(lab, |lab| {
            for verb in verbs.iter().filter(|verb| *verb != "stop") {
                told_by_a_verb(lab, verb).with_context(|| format!("ballast {verb}"))?;
            }
            Ok(())
        })?;
        let stopped = lab.ask(&["stop"])?;
        ensure!(stopped.code == Some(0), "{stopped:?}");
        lab.wait_for_daemon_end()
    });
}

#[test]
fn every_operation_does_its_work_under_load() {
    with_daemon(usual(), |lab| {
        let api = Api::of(lab)?;
        let operations = api.operations()?;
        ensure!(operations.len() > 10, "{operations:?}");
        under_load(lab, |lab| {
            let but_stop = operations.iter().filter(|(_, path)| path != "/api/v1/stop");
            for (method, path) in but_stop {
                told_by_an_operation(lab, &api, method, path).with_context(|| format!("{method} {path}"))?;
            }
            Ok(())
        })?;
        api.post("/api/v1/stop", &json!(null))?;
        lab.wait_for_daemon_end()
    });
}

#[test]
#[ignore = "`cargo xtask test --schemathesis` installs the program and runs this"]
fn schemathesis_finds_no_answer_that_the_document_does_not_describe() {
    let program = env::var_os("BALLAST_SCHEMATHESIS").expect("where the program is");
    in_lab(usual(), |lab| {
        start_with_users(lab)?;
        let document = format!("http://{}/api/v1/openapi.json", DaemonConfig::STATS_ADDRESS);
        let mut schemathesis = lab.balancer().command(program);
        schemathesis.args(["run", &document, "--max-time", "60"]);
        schemathesis.args(["--auth", &format!("boss:{PASSWORD}")]);
        // The control socket alone has the first; the others say more and more until whoever asks goes.
        for path in ["stop", "trace", "capture"] {
            schemathesis.args(["--exclude-path", &format!("/api/v1/{path}")]);
        }
        schemathesis.args(["--checks", CHECKS, "--max-examples", "30", "--seed", "1"]);
        let output = schemathesis.current_dir(lab.directory().path()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{}: {said}", output.status);
        println!("{said}");
        // It finds the names of services, and may have removed them all.
        lab.daemon()?.status()?;
        Ok(())
    });
}

/// What Schemathesis looks for.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// Does something while requests come and are answered, all of them.
fn under_load(lab: &Lab, work: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    let load = Requests::steady(lab.web(Family::V4)).start(lab.client());
    work(lab)?;
    let report = load.stop()?;
    println!("{report}");
    ensure!(report.failed == 0 && report.total_answered() > 0, "{report}");
    Ok(())
}

/// All verbs, in the order of the help; those below a word with that word.
fn verbs() -> Vec<String> {
    let command = lb_user::cli::Cli::command();
    let verbs = command.get_subcommands().flat_map(|verb| {
        let name = verb.get_name().to_owned();
        let below: Vec<_> = verb
            .get_subcommands()
            .map(|below| format!("{name} {}", below.get_name()))
            .collect();
        if below.is_empty() { vec![name] } else { below }
    });
    verbs.collect()
}

/// Has `ballast` do something, which must succeed and say these words.
fn says(lab: &Lab, arguments: &str, words: &[&str]) -> Result<String> {
    let arguments: Vec<_> = arguments.split(' ').collect();
    let ended = lab.ask(&arguments)?;
    ensure!(ended.code == Some(0), "{ended:?}");
    for word in words {
        ensure!(ended.stdout.contains(word), "no {word:?} in {ended:?}");
    }
    Ok(ended.stdout)
}

fn told_by_a_verb(lab: &Lab, verb: &str) -> Result<()> {
    let file = lab.directory().path().join("ballast.toml");
    let file = file.to_str().context("a path in UTF-8")?;
    let becomes = |lab: &Lab, state: &str| lab.daemon()?.wait_for_state("web", "be1", state, LIMIT);
    match verb {
        // It does, and answers the others.
        "run" => ensure!(lab.daemon()?.status()?.services_up == 4),
        "check" => drop(says(lab, &format!("check --config {file}"), &[])?),
        "stats" => drop(says(lab, "stats", &["web", "be3"])?),
        "status" => drop(says(lab, "status", &["running"])?),
        "backend list" => drop(says(lab, "backend list", &["web/be1", "echo6/be3"])?),
        "backend drain" => {
            says(lab, "backend drain web/be1", &["drain"])?;
            becomes(lab, "drain")?;
        }
        "backend maint" => {
            says(lab, "backend maint web/be1", &["maint"])?;
            becomes(lab, "maint")?;
        }
        "backend ready" => {
            says(lab, "backend ready web/be1", &[])?;
            becomes(lab, "up")?;
        }
        "backend weight" => {
            says(lab, "backend weight web/be1 50", &["50"])?;
            says(lab, "backend list", &[" 50 "])?;
            says(lab, "backend weight web/be1 100", &[])?;
        }
        "backend remove" => drop(says(lab, "backend remove echo/be1", &["- backend echo/be1"])?),
        "backend add" => {
            says(lab, "backend add echo/be9 10.1.1.2:9", &["+ backend echo/be9"])?;
            says(lab, "backend remove echo/be9", &[])?;
        }
        "flow list" => drop(says(lab, "flow list", &["ID", "web"])?),
        "flow kill" => kill(lab, |lab, id| {
            says(lab, &format!("flow kill {id}"), &["ended"]).map(drop)
        })?,
        "service add" => {
            let more = "service add more --bind 10.0.0.100:81 --backend be1=10.1.1.2:8080";
            says(lab, more, &["+ service more"])?;
            lab.daemon()?.wait_for_state("more", "be1", "up", LIMIT)?;
            says(lab, "service remove more", &[])?;
        }
        "service remove" => {
            says(lab, "service remove echo6", &["- service echo6"])?;
            says(lab, "rollback", &["+ service echo6"])?;
        }
        "reload" => {
            let text = lab.config().to_toml();
            lab.write_config(&text.replacen("[[service]]", "[[service]]\nretries = 2", 1))?;
            says(lab, "reload", &["~ service web"])?;
        }
        "diff" | "save" => {
            // Another one each time.
            let weight = if verb == "diff" { 70 } else { 80 };
            says(lab, &format!("backend weight web/be2 {weight}"), &[])?;
            says(lab, "diff", &[&format!("+weight = {weight}")])?;
            says(lab, "save", &[])?;
            ensure!(says(lab, "diff", &[])?.is_empty());
        }
        "rollback" => {
            says(lab, "backend drain web/be1", &[])?;
            says(lab, "rollback", &["web/be1"])?;
            becomes(lab, "up")?;
        }
        "journal" => drop(says(lab, "journal", &["web/be1 drain", "root"])?),
        "lookup" => {
            let target = lab.web(Family::V4);
            says(
                lab,
                &format!("lookup --from 10.1.0.2:5 --to {target}"),
                &["web/be"],
            )?;
        }
        "health" => ensure!(says(lab, "health --quiet", &[])?.is_empty()),
        "doctor" => {
            let examined = lab.ask(&["doctor", "--json", "--config", file])?;
            ensure!(matches!(examined.code, Some(0 | 1)), "{examined:?}");
            serde_json::from_str::<Value>(&examined.stdout)?;
        }
        "trace" => drop(says(
            lab,
            "trace --service web --count 5 --json",
            &["\"verdict\""],
        )?),
        "capture" => {
            let packets = lab.directory().path().join("verbs.pcapng");
            let packets = packets.to_str().context("a path in UTF-8")?;
            says(
                lab,
                &format!("capture --service web --packets 10 --write {packets}"),
                &[],
            )?;
            ensure!(fs::read(packets)?.starts_with(PCAPNG));
        }
        "passwd" => passwd(lab)?,
        "completions" => drop(says(lab, "completions bash", &["complete -F"])?),
        "man" => drop(says(lab, "man", &[".TH"])?),
        _ => bail!("there is no test of it: say here what it must do"),
    }
    Ok(())
}

/// Opens a connection, has it ended, and finds it so.
fn kill(lab: &Lab, order: impl FnOnce(&Lab, String) -> Result<()>) -> Result<()> {
    let target = lab.web(Family::V4);
    let mut connection = lab.client().run(move || Connection::open(target))?;
    let client = connection.stream().local_addr()?;
    let (_, flows) = lab.daemon()?.flows()?;
    let flow = flows.into_iter().find(|flow| flow.client == client);
    order(lab, flow.context("the flow is not listed")?.id.to_string())?;
    ensure!(connection.ask().is_err(), "a killed connection was answered");
    Ok(())
}

fn passwd(lab: &Lab) -> Result<()> {
    let mut command = lab.ballast()?;
    let mut passwd = command
        .arg("passwd")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = passwd.stdin.take().context("no standard input")?;
    std::io::Write::write_all(&mut input, b"a password for tests\n")?;
    drop(input);
    let output = passwd.wait_with_output()?;
    ensure!(output.stdout.starts_with(b"$argon2id$"), "{output:?}");
    Ok(())
}

/// The API, at the control socket.
struct Api {
    socket: PathBuf,
}

impl Api {
    fn of(lab: &Lab) -> Result<Self> {
        lab.daemon()?;
        Ok(Self {
            socket: lab.config().socket(),
        })
    }

    /// Methods and paths, from the document.
    fn operations(&self) -> Result<Vec<(String, String)>> {
        let document: Value = serde_json::from_str(&self.get("/api/v1/openapi.json")?)?;
        let paths = document["paths"].as_object().context("no paths")?;
        let operations = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flat_map(|methods| methods.keys());
            methods.map(move |method| (method.clone(), path.clone()))
        });
        Ok(operations.collect())
    }

    fn get(&self, path: &str) -> Result<String> {
        self.ask(Method::GET, path, None)
    }

    fn post(&self, path: &str, body: &Value) -> Result<String> {
        self.ask(Method::POST, path, Some(body))
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<String> {
        let client = Client::builder().unix_socket(self.socket.as_path()).build()?;
        let mut request = client.request(method, format!("http://ballast{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        block_on(async {
            let answer = request.send().await?;
            let (status, text) = (answer.status(), answer.text().await?);
            ensure!(status.is_success(), "{status}: {text}");
            Ok(text)
        })
    }
}

fn told_by_an_operation(lab: &Lab, api: &Api, method: &str, path: &str) -> Result<()> {
    let answers = |path: &str, word: &str| {
        let text = api.get(path)?;
        ensure!(text.contains(word), "no {word:?} in {text}");
        Ok(())
    };
    let drain = json!({ "change": "state", "service": "web", "backend": "be1", "state": "drain" });
    let becomes = |state| lab.daemon()?.wait_for_state("web", "be1", state, LIMIT);
    match (method, path) {
        ("get", "/metrics") => answers(path, "ballast_backend_flows_total{backend=\"be1\"")?,
        ("get", "/api/v1/stats") => answers(path, "\"flows_total\"")?,
        ("get", "/api/v1/stats.csv") => answers(path, "web,be1,")?,
        ("get", "/api/v1/status") => answers(path, "\"services_up\":4")?,
        ("get", "/api/v1/backends") => answers(path, "\"be3\"")?,
        ("get", "/api/v1/flows") => answers("/api/v1/flows?service=web", "\"service\":\"web\"")?,
        ("get", "/api/v1/lookup") => {
            let client = SocketAddr::new(lab.config().wiring.address(Role::Client, Family::V4), 5);
            let target = lab.web(Family::V4);
            answers(&format!("{path}?from={client}&to={target}"), "\"web\"")?;
        }
        ("post", "/api/v1/flows/{flow}/kill") => kill(lab, |_, id| {
            let path = path.replace("{flow}", &id);
            ensure!(api.post(&path, &json!(null))?.contains("\"client_reset\":true"));
            Ok(())
        })?,
        ("post", "/api/v1/changes") => {
            api.post(path, &drain)?;
            becomes("drain")?;
        }
        ("get", "/api/v1/diff") => {
            api.post("/api/v1/changes", &drain)?;
            answers(path, "drain")?;
        }
        ("post", "/api/v1/rollback") => {
            api.post("/api/v1/changes", &drain)?;
            api.post(path, &json!(null))?;
            becomes("up")?;
        }
        ("get", "/api/v1/journal") => {
            api.post("/api/v1/changes", &drain)?;
            answers(path, "web/be1 drain")?;
        }
        ("post", "/api/v1/reload") => {
            let text = lab.config().to_toml();
            lab.write_config(&text.replacen("[[service]]", "[[service]]\nretries = 2", 1))?;
            ensure!(api.post(path, &json!(null))?.contains("~ service web"));
        }
        ("post", "/api/v1/trace") => {
            let told = api.post(path, &json!({ "service": "web", "count": 5 }))?;
            ensure!(told.contains("\"verdict\""), "{told}");
        }
        ("post", "/api/v1/capture") => {
            let captured = api.post(path, &json!({ "service": "web", "packets": 10 }))?;
            ensure!(captured.as_bytes().starts_with(PCAPNG), "{captured}");
        }
        ("post", "/api/v1/save") => {
            api.post("/api/v1/changes", &drain)?;
            api.post(path, &json!(null))?;
            ensure!(api.get("/api/v1/diff")? == r#"{"difference":""}"#, "all is saved");
        }
        _ => bail!("there is no test of it: say here what it must do"),
    }
    Ok(())
}
