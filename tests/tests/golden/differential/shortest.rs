//! Making what fails short.

/// The shortest list that still fails, by leaving parts of it out: first halves, at last single items.
pub(super) fn shortest<T: Clone>(list: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut list = list.to_vec();
    let mut part = list.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        while at < list.len() {
            let end = list.len().min(at + part);
            let without = [&list[..at], &list[end..]].concat();
            if fails(&without) {
                list = without;
            } else {
                at = end;
            }
        }
        part /= 2;
    }
    list
}

#[test]
fn what_a_failure_does_not_need_is_left_out() {
    let list: Vec<u32> = (0..1000).collect();
    let fails = |list: &[u32]| [17, 18, 900].iter().all(|needed| list.contains(needed));
    assert_eq!(shortest(&list, fails), [17, 18, 900]);
    assert_eq!(shortest(&list, |_| true), [0; 0]);
    assert_eq!(shortest(&[1, 2], |list| list.len() == 2), [1, 2]);
}
