//! Changes as edits of the file's text, which keep its comments and its order.

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

use super::change::{Admin, Change, ChangeError};

const SERVICES: &str = "service";
const BACKENDS: &str = "backend";

/// Makes all changes, one after the other.
pub(super) fn all(text: &str, changes: &[Change]) -> Result<String, ChangeError> {
    if changes.is_empty() {
        return Ok(text.to_owned());
    }
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| ChangeError::NotToml(error.message().to_owned()))?;
    for change in changes {
        make(&mut document, change)?;
    }
    Ok(document.to_string())
}

fn make(document: &mut DocumentMut, change: &Change) -> Result<(), ChangeError> {
    match change {
        Change::State {
            service,
            backend,
            state,
        } => {
            let backend = backend_of(document, service, backend)?;
            match state {
                // As if nobody had ever said anything.
                Admin::Ready => drop(backend.remove("state")),
                Admin::Drain | Admin::Maint => set(backend, "state", state.as_str().into()),
            }
        }
        Change::Weight {
            service,
            backend,
            weight,
        } => set(
            backend_of(document, service, backend)?,
            "weight",
            i64::from(*weight).into(),
        ),
        Change::AddBackend {
            service,
            backend,
            address,
            weight,
            backup,
        } => {
            let mut keys: Vec<(&str, Value)> =
                vec![("name", backend.into()), ("address", address.to_string().into())];
            keys.extend(weight.map(|weight| ("weight", i64::from(weight).into())));
            keys.extend(backup.then(|| ("backup", true.into())));
            push(service_of(document, service)?, BACKENDS, keys);
        }
        Change::RemoveBackend { service, backend } => {
            let missing = || ChangeError::NoBackend(service.clone(), backend.clone());
            let backends = service_of(document, service)?
                .get_mut(BACKENDS)
                .ok_or_else(missing)?;
            remove(backends, backend).ok_or_else(missing)?;
        }
        Change::AddService { service, toml } => add_service(document, service, toml)?,
        Change::RemoveService { service } => {
            let missing = || ChangeError::NoService(service.clone());
            let services = document.get_mut(SERVICES).ok_or_else(missing)?;
            remove(services, service).ok_or_else(missing)?;
        }
    }
    Ok(())
}

fn add_service(document: &mut DocumentMut, name: &str, toml: &str) -> Result<(), ChangeError> {
    let no_service = |reason: &str| ChangeError::NotAService(reason.to_owned());
    let written: DocumentMut = toml
        .parse()
        .map_err(|error: toml_edit::TomlError| no_service(error.message()))?;
    let services = written.get(SERVICES).and_then(Item::as_array_of_tables);
    let single = services.filter(|services| services.len() == 1 && written.len() == 1);
    let mut service = single
        .and_then(|services| services.get(0))
        .cloned()
        .ok_or_else(|| no_service("write [[service]] and its keys below, and nothing else"))?;
    if name_of(&service) != Some(name) {
        return Err(no_service("its `name` is another one"));
    }
    forget_places(&mut service);
    service.decor_mut().set_prefix("\n");
    let services = document
        .entry(SERVICES)
        .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    match services {
        Item::ArrayOfTables(services) => services.push(service),
        // Written as `service = [{ … }]`.
        Item::Value(Value::Array(services)) => services.push(service.into_inline_table()),
        _ => return Err(no_service("the file's `service` is no list")),
    }
    Ok(())
}

/// Lets tables stand where they come, and not where they stood in a text of their own.
fn forget_places(table: &mut Table) {
    table.set_position(None);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(table) => forget_places(table),
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(forget_places),
            Item::None | Item::Value(_) => {}
        }
    }
}

fn service_of<'d>(document: &'d mut DocumentMut, name: &str) -> Result<&'d mut dyn TableLike, ChangeError> {
    let services = document.get_mut(SERVICES);
    services
        .and_then(|services| named(services, name))
        .ok_or_else(|| ChangeError::NoService(name.to_owned()))
}

fn backend_of<'d>(
    document: &'d mut DocumentMut,
    service: &str,
    name: &str,
) -> Result<&'d mut dyn TableLike, ChangeError> {
    let backends = service_of(document, service)?.get_mut(BACKENDS);
    backends
        .and_then(|backends| named(backends, name))
        .ok_or_else(|| ChangeError::NoBackend(service.to_owned(), name.to_owned()))
}

/// The table of that name in a list of tables, in either of TOML's two ways to write one.
fn named<'d>(list: &'d mut Item, name: &str) -> Option<&'d mut dyn TableLike> {
    match list {
        Item::ArrayOfTables(tables) => {
            let found = tables.iter_mut().find(|table| name_of(*table) == Some(name));
            found.map(|table| table as &mut dyn TableLike)
        }
        Item::Value(Value::Array(values)) => {
            let tables = values.iter_mut().filter_map(Value::as_inline_table_mut);
            let found = tables.into_iter().find(|table| name_of(*table) == Some(name));
            found.map(|table| table as &mut dyn TableLike)
        }
        Item::None | Item::Value(_) | Item::Table(_) => None,
    }
}

/// Takes the table of that name out of a list of tables.
fn remove(list: &mut Item, name: &str) -> Option<()> {
    match list {
        Item::ArrayOfTables(tables) => {
            let place = tables.iter().position(|table| name_of(table) == Some(name))?;
            tables.remove(place);
        }
        Item::Value(Value::Array(values)) => {
            let is_it =
                |value: &Value| value.as_inline_table().and_then(|table| name_of(table)) == Some(name);
            let place = values.iter().position(is_it)?;
            values.remove(place);
        }
        Item::None | Item::Value(_) | Item::Table(_) => return None,
    }
    Some(())
}

/// Puts a table behind the others of a list, written as they are.
fn push(parent: &mut dyn TableLike, list: &str, keys: Vec<(&str, Value)>) {
    let tables = parent
        .entry(list)
        .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    if let Item::Value(Value::Array(values)) = tables {
        values.push(keys.into_iter().collect::<InlineTable>());
    } else if let Item::ArrayOfTables(tables) = tables {
        let mut table: Table = keys
            .into_iter()
            .map(|(key, written)| (key, value(written)))
            .collect();
        table.decor_mut().set_prefix("\n");
        tables.push(table);
    }
}

/// Sets a key; what is written around its value, a comment for one, stays.
fn set(table: &mut dyn TableLike, key: &str, mut new: Value) {
    if let Some(Item::Value(old)) = table.get_mut(key) {
        *new.decor_mut() = old.decor().clone();
        *old = new;
    } else {
        table.insert(key, value(new));
    }
}

fn name_of(table: &dyn TableLike) -> Option<&str> {
    table.get("name")?.as_str()
}
