use super::*;

#[test]
fn telemetry_cannot_leave_its_text() {
    assert_eq!(escaped("</text><script>"), "&lt;/text&gt;&lt;script&gt;");
    assert_eq!(escaped("a\u{0}\u{1b}\u{202e}\"'&"), "a\u{fffd}\u{fffd}\u{fffd}&quot;&#39;&amp;");
}

#[test]
fn what_is_cut_fits() {
    assert_eq!(cut("checkout", 13.0, 100.0), "checkout");
    let shown = cut("recommendation-service-canary", 13.0, 100.0);
    assert!(shown.ends_with('…') && width(&shown, 13.0) <= 105.0, "{shown}");
}

#[test]
fn numbers_read_as_people_write_them() {
    assert_eq!([7.0, 9830.0, 123_456.0, 2.5e6].map(count), ["7", "9,830", "123,456", "2.5 M"]);
    let shown = [0, 950, 2_000_000, 562_700_000, 2_140_000_000, 300_000_000_000].map(short);
    assert_eq!(shown, ["0 ns", "950 ns", "2 ms", "563 ms", "2.1 s", "5 min"]);
    let shown = [0.0, 0.0004, 0.042, 0.5, 0.9999, 1.0].map(percent);
    assert_eq!(shown, ["0 %", "< 0.1 %", "4.2 %", "50 %", "> 99.9 %", "100 %"]);
}
