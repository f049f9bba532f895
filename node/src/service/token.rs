//! Page tokens: where a listing goes on, in letters that a client passes back unread.

use tonic::{Code, Status};

use super::status::status;

/// A page has at most this many items.
pub(crate) const PAGE_ITEMS: usize = 1000;
/// And about this many bytes: well below what any client takes in one message.
pub(crate) const PAGE_BYTES: usize = 1024 * 1024;

/// So many items, as asked for or as is usual.
pub(crate) fn page_items(asked: u32) -> usize {
    match asked {
        0 => PAGE_ITEMS,
        asked => PAGE_ITEMS.min(asked as usize),
    }
}

/// A token of parts; none of them may hold a zero byte.
pub(crate) fn write(parts: &[&str]) -> String {
    let text = parts.join("\0");
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The parts of a token; `None` for the first page.
///
/// # Errors
/// If it is none of ours.
pub(crate) fn read<const N: usize>(token: &str) -> Result<Option<[String; N]>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let strange = || {
        status(
            Code::InvalidArgument,
            "page_token",
            "this page token is none of ours",
        )
    };
    if !token.len().is_multiple_of(2) || !token.is_ascii() {
        return Err(strange());
    }
    let bytes: Option<Vec<u8>> = (0..token.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&token[at..at + 2], 16).ok())
        .collect();
    let text = String::from_utf8(bytes.ok_or_else(strange)?).map_err(|_| strange())?;
    let parts: Vec<String> = text.split('\0').map(str::to_owned).collect();
    parts.try_into().map(Some).map_err(|_| strange())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was_given() {
        let token = write(&["default", "wéb/3"]);
        assert_eq!(read::<2>(&token).unwrap().unwrap(), ["default", "wéb/3"]);
        assert!(read::<2>("").unwrap().is_none());
    }

    #[test]
    fn a_token_that_is_none_is_refused() {
        for strange in ["x", "zz", "ff", "é1", "6a"] {
            assert!(read::<2>(strange).is_err(), "{strange}");
        }
    }

    #[test]
    fn a_page_is_never_larger_than_a_page() {
        assert_eq!(page_items(0), PAGE_ITEMS);
        assert_eq!(page_items(7), 7);
        assert_eq!(page_items(u32::MAX), PAGE_ITEMS);
    }
}
