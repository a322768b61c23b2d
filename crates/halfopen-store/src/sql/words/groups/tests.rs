use super::*;

fn words(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(texts.iter().copied().collect::<DictionaryArray<Int32Type>>())
}

fn found(groups: &mut WordGroups, columns: &[ArrayRef]) -> Vec<usize> {
    let mut places = vec![99];
    groups.find(columns, &mut places).expect("words");
    places
}

fn shown(array: &ArrayRef) -> Vec<Option<String>> {
    (0..array.len())
        .map(|row| halfopen_model::batch::text_at(array.as_ref(), row).map(str::to_owned))
        .collect()
}

#[test]
fn equal_words_of_different_dictionaries_are_one_group() {
    let mut groups = WordGroups::new(1);
    assert_eq!(
        found(&mut groups, &[words(&[Some("a"), None, Some("b"), Some("a")])]),
        [0, 1, 2, 0]
    );
    assert_eq!(found(&mut groups, &[words(&[Some("b"), Some("c"), None])]), [2, 3, 1]);
    let same = words(&[Some("c"), Some("d")]);
    assert_eq!(found(&mut groups, &[Arc::clone(&same)]), [3, 4]);
    assert_eq!(found(&mut groups, &[same]), [3, 4]);
    assert_eq!((groups.len(), groups.bytes() > 0), (5, true));
    let taken = groups.take();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(shown(&taken[0]), [text("a"), None, text("b"), text("c"), text("d")]);
    assert_eq!(groups.len(), 0);
    assert_eq!(found(&mut groups, &[words(&[Some("d"), Some("a")])]), [0, 1]);
}

#[test]
fn several_columns_make_a_group_together() {
    let mut groups = WordGroups::new(2);
    let (one, other) = (
        words(&[Some("a"), Some("a"), None, Some("b"), Some("a")]),
        words(&[Some("x"), None, Some("x"), Some("x"), Some("x")]),
    );
    assert_eq!(found(&mut groups, &[one, other]), [0, 1, 2, 3, 0]);
    let taken = groups.take();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(shown(&taken[0]), [text("a"), text("a"), None, text("b")]);
    assert_eq!(shown(&taken[1]), [text("x"), None, text("x"), text("x")]);
}

/// A dictionary may say a word twice, or hold a null in the place of one.
#[test]
fn odd_dictionaries_are_read_as_they_are_meant() {
    let texts = StringArray::from(vec![Some("a"), None, Some("a")]);
    let codes = Int32Array::from(vec![Some(0), Some(1), Some(2), None]);
    let odd: ArrayRef = Arc::new(DictionaryArray::new(codes, Arc::new(texts)));
    let mut groups = WordGroups::new(1);
    assert_eq!(found(&mut groups, &[odd]), [0, 1, 0, 1]);
}
