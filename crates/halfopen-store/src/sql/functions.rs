//! Functions of our own: ids to hex and back, attributes out of their map.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ExpressionPlacement, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use halfopen_model::batch::{map_entries, text_at};
use halfopen_model::names::grpc_code;
use halfopen_model::{SpanId, TraceId};

/// What `attr('key')` becomes.
pub(super) const ATTRIBUTE_OF: &str = "attribute_of";

/// One of our functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Own {
    kind: Kind,
    signature: Signature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// `hex(bytes)`: text.
    Hex,
    /// `trace_id(hex)`: 16 bytes.
    TraceId,
    /// `span_id(hex)`: 8 bytes.
    SpanId,
    /// `attr(map, key)`: text.
    Attribute(&'static str),
    /// `grpc_code(number)`: the name of a gRPC status; a text that is no number stays.
    GrpcCode,
}

/// All of them. `attr` with a plain map and key is rewritten to `attribute_of` before planning.
pub(super) fn all() -> Vec<Own> {
    let text = || Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
    let any = |count| Signature::new(TypeSignature::Any(count), Volatility::Immutable);
    vec![
        Own { kind: Kind::Hex, signature: any(1) },
        Own { kind: Kind::TraceId, signature: text() },
        Own { kind: Kind::SpanId, signature: text() },
        Own { kind: Kind::GrpcCode, signature: text() },
        Own { kind: Kind::Attribute("attr"), signature: any(2) },
        Own { kind: Kind::Attribute(ATTRIBUTE_OF), signature: any(2) },
    ]
}

impl ScalarUDFImpl for Own {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Hex => "hex",
            Kind::TraceId => "trace_id",
            Kind::SpanId => "span_id",
            Kind::GrpcCode => "grpc_code",
            Kind::Attribute(name) => name,
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.kind, types) {
            (Kind::Hex, [DataType::FixedSizeBinary(_) | DataType::Binary | DataType::Null]) => {
                Ok(DataType::Utf8)
            }
            (Kind::Hex, _) => plan_err!("hex() takes bytes, such as hex(trace_id)"),
            (Kind::TraceId, _) => Ok(DataType::FixedSizeBinary(16)),
            (Kind::SpanId, _) => Ok(DataType::FixedSizeBinary(8)),
            (Kind::GrpcCode, _) => Ok(DataType::Utf8),
            (Kind::Attribute(_), [DataType::Map(_, _), _]) => Ok(DataType::Utf8),
            (Kind::Attribute(_), _) => {
                plan_err!("attr() takes a key, such as attr('span.http.route')")
            }
        }
    }

    /// An attribute is read where the files are: there it may have a column of its own.
    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        match (self.kind, args) {
            (
                Kind::Attribute(ATTRIBUTE_OF),
                [ExpressionPlacement::Column, ExpressionPlacement::Literal],
            ) => ExpressionPlacement::MoveTowardsLeafNodes,
            _ => ExpressionPlacement::KeepInPlace,
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if scalar { 1 } else { args.number_rows };
        let columns: Vec<ArrayRef> =
            args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let result: ArrayRef = match (self.kind, columns.as_slice()) {
            (Kind::Hex, [bytes]) => hex(bytes),
            (Kind::TraceId, [texts]) => ids(texts, |text| text.parse().map(|id: TraceId| id.0))?,
            (Kind::SpanId, [texts]) => ids(texts, |text| text.parse().map(|id: SpanId| id.0))?,
            (Kind::GrpcCode, [texts]) => grpc_codes(texts),
            (Kind::Attribute(_), [map, keys]) => attributes(map, keys)?,
            _ => return exec_err!("{} was called with {} values", self.name(), columns.len()),
        };
        if scalar {
            let value = datafusion::common::ScalarValue::try_from_array(&result, 0)?;
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Array(result))
    }
}

fn hex(bytes: &ArrayRef) -> ArrayRef {
    let mut texts = StringBuilder::new();
    let fixed = bytes.as_fixed_size_binary_opt();
    let binary = bytes.as_binary_opt::<i32>();
    for row in 0..bytes.len() {
        let value = match (bytes.is_valid(row), fixed, binary) {
            (true, Some(fixed), _) => fixed.value(row),
            (true, _, Some(binary)) => binary.value(row),
            _ => {
                texts.append_null();
                continue;
            }
        };
        let digits = value.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let text: String =
            digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect();
        texts.append_value(text);
    }
    Arc::new(texts.finish())
}

fn ids<const N: usize, E: std::fmt::Display>(
    texts: &ArrayRef,
    read: impl Fn(&str) -> Result<[u8; N], E>,
) -> Result<ArrayRef> {
    let mut builder = FixedSizeBinaryBuilder::new(N as i32);
    for row in 0..texts.len() {
        match text_at(texts.as_ref(), row).map(&read) {
            Some(Ok(id)) => builder.append_value(id)?,
            Some(Err(error)) => {
                let text = text_at(texts.as_ref(), row).unwrap_or_default();
                return exec_err!("\"{text}\" is no id: {error}");
            }
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn grpc_codes(texts: &ArrayRef) -> ArrayRef {
    let name = |text| str::parse(text).ok().and_then(grpc_code).unwrap_or(text);
    let names = (0..texts.len()).map(|row| text_at(texts.as_ref(), row).map(name));
    Arc::new(names.collect::<StringArray>())
}

fn attributes(map: &ArrayRef, keys: &ArrayRef) -> Result<ArrayRef> {
    let Some(map) = map.as_map_opt() else { return exec_err!("attr() takes a map of attributes") };
    let mut texts = StringBuilder::new();
    for row in 0..map.len() {
        let wanted = text_at(keys.as_ref(), row);
        let mut found = None;
        if map.is_valid(row) {
            map_entries(map, row, &mut |key, _, text| {
                if found.is_none() && Some(key) == wanted {
                    found = Some(text);
                }
            });
        }
        texts.append_option(found);
    }
    Ok(Arc::new(texts.finish()))
}
