use super::*;
use arrow::array::{Int64Array, TimestampNanosecondArray};
use halfopen_model::batch::Cells;

fn ids(texts: &[&str], names: &[&str], services: Option<&[Option<&str>]>) -> RecordBatch {
    let names: DictionaryArray<Int32Type> = names.iter().copied().collect();
    let times = TimestampNanosecondArray::from_iter_values(0..texts.len() as i64);
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(StringArray::from(texts.to_vec()))),
        ("name", Arc::new(names)),
        ("time", Arc::new(times.with_timezone("UTC"))),
    ];
    if let Some(services) = services {
        let words: DictionaryArray<Int32Type> = services.iter().copied().collect();
        columns.push(("service", Arc::new(words)));
    }
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[test]
fn codes_of_different_dictionaries_lead_to_the_same_words() {
    let one = ids(&["a", "b"], &["x", "y"], None);
    let other = ids(&["c", "d"], &["y", "z"], Some(&[None, Some("shop")]));
    let sources = Sources::new(Table::Ids, &[&one, &other]).expect("columns of the schema");
    let picked = sources.pick(&[(1, 1), (0, 1), (1, 0), (0, 0)]).expect("places that exist");
    let cells = Cells::new(&picked);
    let row = |row| (cells.text("id", row), cells.text("name", row), cells.text("service", row));
    assert_eq!(row(0), (Some("d"), Some("z"), Some("shop")));
    assert_eq!(row(1), (Some("b"), Some("y"), None), "the first batch has no such column");
    assert_eq!(row(2), (Some("c"), Some("y"), None));
    assert_eq!(row(3), (Some("a"), Some("x"), None));
    let names: &DictionaryArray<Int32Type> = picked.column(1).as_dictionary();
    assert_eq!(names.values().len(), 3, "x, y and z once each");
}

#[test]
fn columns_keep_the_order_of_the_schema_and_others_are_left_out() {
    let rows = ids(&["a"], &["x"], Some(&[Some("shop")]));
    let colour: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let mut columns: Vec<(String, ArrayRef)> = vec![("colour".into(), colour)];
    let fields = rows.schema();
    columns.extend(
        fields.fields().iter().map(|f| f.name().clone()).zip(rows.columns().to_vec()).rev(),
    );
    let mixed = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let merged = merge(Table::Ids, &[&mixed]).expect("columns of the schema");
    let names: Vec<_> = merged.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["id", "name", "time", "service"]);
}
