//! The document that describes the API, beside the API.

use super::*;

async fn document() -> Value {
    let server = stats_server(daemon(), &CancellationToken::new()).await;
    let url = format!("http://{}/api/v1/openapi.json", server.address());
    let answer = reqwest::get(url).await.expect("an answer");
    answer.json().await.expect("a document")
}

#[tokio::test]
async fn every_operation_of_the_document_is_there_and_answers_as_it_says() {
    let (_socket, client) = socket_server().await;
    let document = document().await;
    let (mut operations, paths) = (0, document["paths"].as_object().expect("paths"));
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            let method = method.to_uppercase().parse().expect("a method");
            let path = path.replace("{flow}", "3f2a-1");
            let arguments = if path.ends_with("lookup") {
                "?from=10.0.0.1:1&to=10.0.0.2:2"
            } else {
                ""
            };
            let request = client.request(method, format!("http://ballast{path}{arguments}"));
            let change = json!({ "change": "remove_service", "service": "fe" });
            let answer = request.json(&change).send().await.expect("an answer");
            let status = answer.status().as_u16().to_string();
            assert!(
                operation["responses"][&status].is_object(),
                "{path} answers {status}"
            );
            let kind = answer.headers()[header::CONTENT_TYPE]
                .to_str()
                .expect("text")
                .to_owned();
            let described = operation["responses"][&status]["content"]
                .as_object()
                .expect("a content");
            assert!(
                described.keys().any(|key| kind.starts_with(key)),
                "{path} answers with {kind}"
            );
            operations += 1;
        }
    }
    assert_eq!(operations, 17);
}

#[tokio::test]
async fn whatever_the_document_refers_to_is_in_it() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}
