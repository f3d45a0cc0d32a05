//! The smallest part of a list that still makes something fail.

/// Leaves out what is not needed for `fails` to be true of the rest: first
/// halves of the list, then ever smaller pieces, down to single items, until
/// none can be spared or `tries` are used up. `items` itself must fail.
pub fn shrink<T: Clone>(items: &[T], tries: &mut usize, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = items.to_vec();
    let mut piece = kept.len().div_ceil(2);
    while piece > 0 {
        let mut spared = false;
        let mut from = 0;
        while from < kept.len() && *tries > 0 {
            let to = kept.len().min(from + piece);
            let rest = [&kept[..from], &kept[to..]].concat();
            *tries -= 1;
            if fails(&rest) {
                kept = rest;
                spared = true;
            } else {
                from = to;
            }
        }
        // Pieces that could not be spared before may be, now that others are gone.
        piece = if spared { piece.min(kept.len()) } else { piece / 2 };
        if *tries == 0 {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shrunk(count: u32, tries: usize, needed: &[u32]) -> Vec<u32> {
        let items = (0..count).collect::<Vec<_>>();
        shrink(&items, &mut { tries }, |rest| needed.iter().all(|item| rest.contains(item)))
    }

    #[test]
    fn what_is_needed_is_all_that_is_left() {
        assert_eq!(shrunk(100, 1000, &[3, 50, 99]), [3, 50, 99]);
        assert_eq!(shrunk(1, 1000, &[0]), [0]);
        assert_eq!(shrunk(10, 1000, &[]), [0; 0]);
        assert_eq!(shrunk(5, 1000, &[0, 1, 2, 3, 4]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn it_gives_up_after_so_many_tries_with_what_still_fails() {
        let some = shrunk(1000, 5, &[7]);
        assert!(some.contains(&7) && some.len() < 1000);
    }

    #[test]
    fn what_hangs_together_is_found() {
        let items = (0..64).collect::<Vec<_>>();
        // 10 alone is needed; 20 is only while 21 is there.
        let fails = |rest: &[i32]| rest.contains(&10) && (!rest.contains(&21) || rest.contains(&20));
        assert_eq!(shrink(&items, &mut 1000, fails), [10]);
    }
}
