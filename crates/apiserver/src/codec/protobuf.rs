//! `application/vnd.kubernetes.protobuf`: the four bytes `k8s\0`, then `runtime.Unknown`, then the object, decoded by the
//! schema's field numbers.
//!
//! client-go's typed clients send it and do not fall back to JSON. Zeros come over the wire for every field that is not a
//! pointer in Go; the caller's canonical form drops them again.

use super::wire::{Reader, Wire};
use crate::schema::{Field, Leaf, Shape, TypeId, table};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

const MAGIC: &[u8] = b"k8s\0";
/// No served type nests deeper; an object within a `RawExtension` may.
const MAX_DEPTH: u8 = 64;

/// Decodes an enveloped object. Without kind and version in the envelope it is taken for `group`, `version`, `kind`; an
/// object of another kind comes back with its `apiVersion` and `kind` only, for the caller to refuse.
///
/// # Errors
/// The text says what is wrong with the bytes.
pub fn decode(body: &[u8], group: &str, version: &str, kind: &str) -> Result<Value, String> {
    let unknown = Envelope::read(body)?;
    let mut object = Map::new();
    for (name, text) in [("apiVersion", unknown.api_version), ("kind", unknown.kind)] {
        if !text.is_empty() {
            object.insert(name.to_owned(), json!(text));
        }
    }
    if unknown.kind.is_empty() || unknown.kind == kind {
        let id = table()
            .kind(group, version, kind)
            .ok_or_else(|| format!("no protobuf schema for kind {kind:?}"))?;
        message(unknown.raw, id, &mut object, MAX_DEPTH)?;
    }
    Ok(Value::Object(object))
}

#[derive(Default)]
struct Envelope<'a> {
    api_version: &'a str,
    kind: &'a str,
    raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(body: &'a [u8]) -> Result<Self, String> {
        let unknown = body.strip_prefix(MAGIC).ok_or_else(|| {
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
                .to_owned()
        })?;
        let mut envelope = Self::default();
        let mut fields = Reader::new(unknown);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Wire::Bytes(meta)) => {
                    let mut meta = Reader::new(meta);
                    while let Some((number, value)) = meta.next()? {
                        match (number, value) {
                            (1, Wire::Bytes(text)) => envelope.api_version = utf8(text)?,
                            (2, Wire::Bytes(text)) => envelope.kind = utf8(text)?,
                            _ => {}
                        }
                    }
                }
                (2, Wire::Bytes(raw)) => envelope.raw = raw,
                (3, Wire::Bytes(encoding)) if !encoding.is_empty() => {
                    return Err(format!("unsupported content encoding {:?}", utf8(encoding)?));
                }
                _ => {}
            }
        }
        Ok(envelope)
    }
}

/// Decodes the fields of one message into `object`, those of embedded messages too.
fn message(bytes: &[u8], id: TypeId, object: &mut Map<String, Value>, depth: u8) -> Result<(), String> {
    let depth = depth.checked_sub(1).ok_or_else(|| "proto: message is nested too deeply".to_owned())?;
    let ty = table().get(id);
    let mut fields = Reader::new(bytes);
    while let Some((number, value)) = fields.next()? {
        if let Some(field) = ty.fields.iter().find(|f| f.number == number) {
            set(object, field, value, depth)
                .map_err(|e| format!("{}.{}: {e}", ty.short_name(), field.name))?;
        } else if let Some((_, inlined)) = ty.inlined.iter().find(|(n, _)| *n == number)
            && let Wire::Bytes(bytes) = value
        {
            message(bytes, *inlined, object, depth)?;
        }
    }
    Ok(())
}

fn set(object: &mut Map<String, Value>, field: &Field, value: Wire<'_>, depth: u8) -> Result<(), String> {
    match field.shape {
        Shape::One(Leaf::Message(id)) => {
            let bytes = as_bytes(value)?;
            if bytes.is_empty() && !field.pointer && !field.required {
                return Ok(());
            }
            let inner = object.entry(field.name).or_insert_with(|| json!({}));
            inner.as_object_mut().map_or(Ok(()), |inner| message(bytes, id, inner, depth))
        }
        Shape::One(leaf) => {
            let value = single(leaf, value, depth)?;
            object.insert(field.name.to_owned(), value);
            Ok(())
        }
        Shape::List(leaf) => {
            let list = object.entry(field.name).or_insert_with(|| json!([]));
            list.as_array_mut().map_or(Ok(()), |list| push(list, leaf, value, depth))
        }
        Shape::Map(leaf) => {
            let (key, value) = entry(value)?;
            let value = value.map_or_else(|| Ok(super::leaf::zero(leaf)), |v| single(leaf, v, depth))?;
            insert(object, field.name, key, value);
            Ok(())
        }
        Shape::MapOfLists(leaf) => {
            let (key, value) = entry(value)?;
            let mut list = Vec::new();
            // A map's value cannot be repeated: it is a message with the list as its field 1.
            let mut items = Reader::new(value.map_or(Ok(&[][..]), as_bytes)?);
            while let Some((_, item)) = items.next()? {
                push(&mut list, leaf, item, depth)?;
            }
            insert(object, field.name, key, Value::Array(list));
            Ok(())
        }
    }
}

fn insert(object: &mut Map<String, Value>, field: &str, key: String, value: Value) {
    if let Some(map) = object.entry(field).or_insert_with(|| json!({})).as_object_mut() {
        map.insert(key, value);
    }
}

/// Adds an element, or all of a packed list of numbers.
fn push(list: &mut Vec<Value>, leaf: Leaf, value: Wire<'_>, depth: u8) -> Result<(), String> {
    if let (Leaf::I32 | Leaf::I64 | Leaf::Bool, Wire::Bytes(packed)) = (leaf, value) {
        let mut numbers = Reader::new(packed);
        while let Some(number) = numbers.next_varint()? {
            list.push(single(leaf, Wire::Varint(number), depth)?);
        }
        return Ok(());
    }
    list.push(single(leaf, value, depth)?);
    Ok(())
}

/// Key and value of a map's entry.
fn entry(value: Wire<'_>) -> Result<(String, Option<Wire<'_>>), String> {
    let mut fields = Reader::new(as_bytes(value)?);
    let (mut key, mut found) = (String::new(), None);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => utf8(as_bytes(value)?)?.clone_into(&mut key),
            2 => found = Some(value),
            _ => {}
        }
    }
    Ok((key, found))
}

fn single(leaf: Leaf, value: Wire<'_>, depth: u8) -> Result<Value, String> {
    Ok(match (leaf, value) {
        (Leaf::String, Wire::Bytes(text)) => json!(utf8(text)?),
        (Leaf::Bool, Wire::Varint(number)) => json!(number != 0),
        (Leaf::I32 | Leaf::I64, Wire::Varint(number)) => json!(number.cast_signed()),
        (Leaf::F64, Wire::Fixed64(bits)) => json!(f64::from_bits(bits)),
        (Leaf::Bytes, Wire::Bytes(bytes)) => json!(STANDARD.encode(bytes)),
        (Leaf::Time, Wire::Bytes(bytes)) => time(bytes, false)?,
        (Leaf::MicroTime, Wire::Bytes(bytes)) => time(bytes, true)?,
        (Leaf::Quantity, Wire::Bytes(bytes)) => quantity(bytes)?,
        (Leaf::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (Leaf::Any, Wire::Bytes(bytes)) => raw(bytes, depth)?,
        (Leaf::Message(id), Wire::Bytes(bytes)) => {
            let mut object = Map::new();
            message(bytes, id, &mut object, depth)?;
            Value::Object(object)
        }
        _ => return Err("proto: wrong wireType".to_owned()),
    })
}

/// `{seconds, nanos}`; nothing at all is Go's zero time, which is null.
fn time(bytes: &[u8], micro: bool) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Reader::new(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Wire::Varint(n)) => seconds = n.cast_signed(),
            (2, Wire::Varint(n)) => nanos = i32::try_from(n.cast_signed()).map_err(|e| e.to_string())?,
            _ => {}
        }
    }
    let at = jiff::Timestamp::new(seconds, if micro { nanos } else { 0 }).map_err(|e| e.to_string())?;
    Ok(json!(at.to_string()))
}

fn quantity(bytes: &[u8]) -> Result<Value, String> {
    let mut text = "0";
    let mut fields = Reader::new(bytes);
    while let Some(field) = fields.next()? {
        if let (1, Wire::Bytes(found)) = field {
            text = utf8(found)?;
        }
    }
    Ok(json!(text))
}

/// `{type, intVal, strVal}`.
fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_string, mut number, mut text) = (false, 0, "");
    let mut fields = Reader::new(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Wire::Varint(n)) => is_string = n == 1,
            (2, Wire::Varint(n)) => number = n.cast_signed(),
            (3, Wire::Bytes(found)) => text = utf8(found)?,
            _ => {}
        }
    }
    Ok(if is_string { json!(text) } else { json!(number) })
}

/// `{raw}`: JSON, or again an enveloped object.
fn raw(bytes: &[u8], depth: u8) -> Result<Value, String> {
    let mut content: &[u8] = &[];
    let mut fields = Reader::new(bytes);
    while let Some(field) = fields.next()? {
        if let (1, Wire::Bytes(found)) = field {
            content = found;
        }
    }
    if content.is_empty() {
        return Ok(Value::Null);
    }
    if !content.starts_with(MAGIC) {
        return serde_json::from_slice(content).map_err(|e| format!("embedded object: {e}"));
    }
    let inner = Envelope::read(content)?;
    let (group, version) = inner.api_version.split_once('/').unwrap_or(("", inner.api_version));
    let id = table()
        .kind(group, version, inner.kind)
        .ok_or_else(|| format!("no protobuf schema for kind {:?}", inner.kind))?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), json!(inner.api_version));
    object.insert("kind".to_owned(), json!(inner.kind));
    message(inner.raw, id, &mut object, depth)?;
    Ok(Value::Object(object))
}

fn as_bytes(value: Wire<'_>) -> Result<&[u8], String> {
    if let Wire::Bytes(bytes) = value { Ok(bytes) } else { Err("proto: wrong wireType".to_owned()) }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "proto: string field contains invalid UTF-8".to_owned())
}

#[cfg(test)]
pub(super) mod tests;
