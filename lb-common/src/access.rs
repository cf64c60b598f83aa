//! Who may open flows: lists of networks.
//!
//! A list is laid out as the addresses at which its answer changes, sorted: whoever writes it has resolved networks within
//! networks. So one search by halves answers, however the networks lie in each other, in plain memory that every engine has,
//! and a new list takes the place of an old one by one store.

use crate::{
    address::{Address, V6},
    layout::{Border, MAX_BORDERS, Settings, Span},
    reason::Reason,
    shared::Shared,
    tables::Tables,
};

/// Refuses a source that a list denies.
///
/// # Errors
///
/// [`Reason::Denied`] if it does.
#[inline(always)]
pub fn ask<A: Address, T: Tables>(
    tables: &T,
    settings: &Settings,
    list: &Shared<u64>,
    source: A,
) -> Result<(), Reason> {
    let list = Span::from_word(list.load());
    if list.count == 0 {
        return Ok(());
    }
    let passed = passed(tables, settings, list, source.mapped())?;
    // Below its first border a list lets everyone in, and each border turns that.
    if passed & 1 == 0 {
        Ok(())
    } else {
        Err(Reason::Denied)
    }
}

/// How many borders are at or below an address.
///
/// Without branches by what is compared, each of which the verifier would follow; and from a number on that it does not
/// know, lest it tell the results apart.
#[inline(always)]
fn passed<T: Tables>(tables: &T, settings: &Settings, list: Span, address: V6) -> Result<u32, Reason> {
    let V6([high, low]) = address;
    let (high, low) = (u64::from_be(high), u64::from_be(low));
    let mut passed = settings.zero.load();
    let mut step = MAX_BORDERS >> 1;
    while step > 0 {
        let next = passed.wrapping_add(step);
        let outside = borrow(u64::from(list.count), u64::from(next), 0);
        // A row of the list in any case.
        let row = next.wrapping_sub(1) & mask(outside ^ 1);
        let Border {
            high: border_high,
            low: border_low,
        } = tables
            .border(list.first.wrapping_add(row))
            .ok_or(Reason::NotReady)?;
        let below = borrow(high, border_high.load(), borrow(low, border_low.load(), 0));
        passed = passed.wrapping_add(step & mask((outside | below) ^ 1));
        step >>= 1;
    }
    Ok(passed)
}

/// 1 where `one` less `other` less `borrowed` is below 0, else 0 (Hacker's Delight 2-13).
#[inline(always)]
const fn borrow(one: u64, other: u64, borrowed: u64) -> u64 {
    let difference = one.wrapping_sub(other).wrapping_sub(borrowed);
    (!one & other | (!one | other) & difference) >> 63
}

/// All bits for 1, none for 0.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "all bits are the same")]
const fn mask(bit: u64) -> u32 {
    0_u64.wrapping_sub(bit) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::V4,
        memory::{Heap, Sizes, Worker},
    };

    const ROWS: u32 = 40;

    fn heap() -> Heap {
        Heap::new(&Sizes {
            borders: ROWS,
            ..Sizes::LEAST
        })
    }

    /// Whether an address is denied by a list that changes its answer at these.
    fn is_denied(borders: &[u128], address: u128) -> bool {
        let heap = heap();
        let memory = heap.memory();
        // Other lists' rows are around it.
        let (first, count) = (3, borders.len().try_into().unwrap());
        for (row, border) in memory.borders[3..].iter().zip(borders) {
            let halves = border.to_be_bytes();
            let (high, low) = halves.split_at(8);
            row.high.store(u64::from_be_bytes(high.try_into().unwrap()));
            row.low.store(u64::from_be_bytes(low.try_into().unwrap()));
        }
        let list = Shared::<u64>::new(Span { first, count }.to_word());
        let source = V6::from_octets(address.to_be_bytes());
        let worker = Worker::new(memory, 0, 0);
        match ask(&worker, memory.settings, &list, source) {
            Ok(()) => false,
            Err(reason) => reason == Reason::Denied,
        }
    }

    #[test]
    fn each_border_turns_the_answer() {
        const STEP: u128 = 0x2001_0db8_0000_0001_8000_0000_0000_0001;
        for count in 0..=u128::from(ROWS - 3) {
            // From the second on they wrap around: sorted anew.
            let mut borders: Vec<u128> = (0..count).map(|number| STEP.wrapping_mul(number)).collect();
            borders.sort_unstable();
            for address in borders
                .iter()
                .flat_map(|border| [border.wrapping_sub(1), *border, border.wrapping_add(1)])
            {
                let passed = borders.iter().filter(|border| **border <= address).count();
                assert_eq!(
                    is_denied(&borders, address),
                    passed % 2 == 1,
                    "{count}: {address:x}"
                );
            }
        }
    }

    #[test]
    fn no_list_denies_nobody() {
        assert!(!is_denied(&[], 0));
        assert!(!is_denied(&[], u128::MAX));
    }

    #[test]
    fn ipv4_is_asked_for_as_mapped() {
        let heap = heap();
        let memory = heap.memory();
        memory.borders[0].low.store(0xffff_c000_0207);
        memory.borders[1].low.store(0xffff_c000_0208);
        let list = Shared::<u64>::new(Span { first: 0, count: 2 }.to_word());
        let worker = Worker::new(memory, 0, 0);
        let ask = |last| ask(&worker, memory.settings, &list, V4([192, 0, 2, last]));
        assert_eq!([6, 7, 8].map(ask), [Ok(()), Err(Reason::Denied), Ok(())]);
    }

    #[test]
    fn a_borrow_is_that_of_the_difference() {
        let numbers = [0, 1, 2, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX];
        for (one, other) in numbers.iter().flat_map(|one| numbers.map(|other| (*one, other))) {
            for borrowed in [0, 1] {
                let is_below = u128::from(one) < u128::from(other) + u128::from(borrowed);
                assert_eq!(borrow(one, other, borrowed), u64::from(is_below), "{one} {other}");
            }
        }
    }
}
