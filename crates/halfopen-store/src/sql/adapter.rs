//! Reads attributes from wherever a file has them: where it has a column for a key, `attribute_of`
//! reads that column alone; where the whole map is asked for, it is put together again.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, exec_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use halfopen_model::schema::{ATTRIBUTES, attributes_type};

use super::functions::ATTRIBUTE_OF;
use crate::segment::join::{Joint, text_of};
use crate::segment::promote::{ORDER, PARTLY};

/// Makes adapters for files with promoted columns.
#[derive(Debug)]
pub(super) struct JoiningAdapters;

impl PhysicalExprAdapterFactory for JoiningAdapters {
    fn create(
        &self,
        logical: SchemaRef,
        physical: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let joint = Joint::of(&physical);
        let known = joint.columns().filter_map(|name| physical.field_with_name(name).ok());
        let fields = logical.fields().iter().cloned().chain(known.cloned().map(Arc::new));
        let both: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let rest = DefaultPhysicalExprAdapterFactory.create(both, Arc::clone(&physical))?;
        Ok(Arc::new(Joining { joint, physical, rest }))
    }
}

#[derive(Debug)]
struct Joining {
    joint: Joint,
    physical: SchemaRef,
    rest: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for Joining {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        if self.joint.is_empty() {
            return self.rest.rewrite(expr);
        }
        let joined = expr.transform_down(|expr| {
            if let Some(key) = attribute_key(&expr) {
                let read = self.attribute(&key, &expr)?;
                return Ok(Transformed::new(read, true, TreeNodeRecursion::Jump));
            }
            if is_attributes(&expr) {
                return Ok(Transformed::new(self.map()?, true, TreeNodeRecursion::Jump));
            }
            Ok(Transformed::no(expr))
        });
        self.rest.rewrite(joined.data()?)
    }
}

/// The key of `attribute_of(attributes, 'key')`.
fn attribute_key(expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let function = expr.downcast_ref::<ScalarFunctionExpr>()?;
    let [map, key] = function.args() else { return None };
    if function.name() != ATTRIBUTE_OF || !is_attributes(map) {
        return None;
    }
    key.downcast_ref::<Literal>()?.value().try_as_str().flatten().map(str::to_owned)
}

fn is_attributes(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<Column>().is_some_and(|column| column.name() == ATTRIBUTES)
}

impl Joining {
    fn column(&self, name: &str) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Column::new(name, self.physical.index_of(name)?)))
    }

    /// What is left in the map, as the file has it.
    fn left(&self) -> Result<Arc<dyn PhysicalExpr>> {
        self.column(ATTRIBUTES)
    }

    /// `attribute_of` in a file: its own column, its own column and what is left, or that alone.
    fn attribute(&self, key: &str, whole: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        if !self.joint.columns().any(|name| name == key) || key == ORDER {
            return Ok(Arc::clone(whole));
        }
        let partly = self.physical.metadata().get(PARTLY);
        let partly = partly.is_some_and(|keys| keys.lines().any(|other| other == key));
        let mut args = vec![self.column(key)?];
        if partly {
            args.push(Arc::clone(whole));
        }
        self.call(Promoted::new(Act::Text), args, DataType::Utf8)
    }

    fn map(&self) -> Result<Arc<dyn PhysicalExpr>> {
        let mut args = vec![self.left()?, self.column(ORDER)?];
        for key in self.joint.columns().filter(|name| *name != ORDER) {
            args.push(self.column(key)?);
        }
        self.call(Promoted::new(Act::Map(self.joint.clone())), args, attributes_type())
    }

    fn call(
        &self,
        function: Promoted,
        args: Vec<Arc<dyn PhysicalExpr>>,
        data_type: DataType,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let name = function.name().to_owned();
        let field = Arc::new(Field::new(&name, data_type, true));
        let function = Arc::new(ScalarUDF::from(function));
        let options = Arc::new(ConfigOptions::default());
        Ok(Arc::new(ScalarFunctionExpr::new(&name, function, args, field, options)))
    }
}

/// What is made of promoted columns. No statement can name it.
#[derive(Debug, PartialEq, Eq)]
struct Promoted {
    act: Act,
    signature: Signature,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Act {
    /// The text of a promoted column, else the second value.
    Text,
    /// The whole map, of what is left of it, the order, and the promoted columns.
    Map(Joint),
}

impl Hash for Promoted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.act.hash(state);
    }
}

impl Promoted {
    fn new(act: Act) -> Promoted {
        Promoted { act, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Promoted {
    fn name(&self) -> &str {
        match self.act {
            Act::Text => "promoted_text",
            Act::Map(_) => "promoted_map",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.act {
            Act::Text => DataType::Utf8,
            Act::Map(_) => attributes_type(),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let columns: Vec<ArrayRef> =
            args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let made = match (&self.act, columns.as_slice()) {
            (Act::Text, [own]) => text(own, None),
            (Act::Text, [own, left]) => text(own, Some(left)),
            (Act::Map(joint), [left, order, promoted @ ..]) => joint.map(left, order, promoted)?,
            _ => return exec_err!("{} was called with {} values", self.name(), columns.len()),
        };
        Ok(ColumnarValue::Array(made))
    }
}

fn text(own: &ArrayRef, left: Option<&ArrayRef>) -> ArrayRef {
    let mut texts = StringBuilder::new();
    for row in 0..own.len() {
        let left = left.and_then(|left| halfopen_model::batch::text_at(left.as_ref(), row));
        match text_of(own, row) {
            Some(text) => texts.append_value(text),
            None => texts.append_option(left),
        }
    }
    Arc::new(texts.finish())
}
