//! Values named by a URL (`jpegPhoto:< file:photos/ann.jpg`), read under a fence.
//!
//! Whoever writes the LDIF chooses the URL, so it must not reach beyond the folder the caller named: no other
//! scheme, no `..`, no symbolic link that leads out, no device or pipe, no file above the limit.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::{URL_FILE_BYTES_MAX, UrlPolicy};
use crate::model::percent;

/// Reads what the URL names. `file:///whole/path` and, from the folder, `file:name` or `file://folder/name`.
///
/// # Errors
/// What is wrong, for the message.
pub(super) fn read(policy: &UrlPolicy, url: &str) -> Result<Vec<u8>, String> {
    let folder = match policy {
        UrlPolicy::Refuse => {
            return Err(
                "values from files (':<') are not read here; give the value itself, in base64 after '::'".to_owned()
            );
        }
        UrlPolicy::Folder(folder) => folder,
    };
    let path = url_path(url)?;
    let cannot = |error: std::io::Error| format!("cannot read '{url}': {error}");
    let fence = folder.canonicalize().map_err(cannot)?;
    let file_path = fence.join(path).canonicalize().map_err(cannot)?;
    if !file_path.starts_with(&fence) {
        return Err(format!("'{url}' lies outside the folder of the LDIF file; copy the file there"));
    }
    if !fs::metadata(&file_path).map_err(cannot)?.is_file() {
        return Err(format!("'{url}' is not a regular file"));
    }
    let mut value = Vec::new();
    let file = File::open(&file_path).map_err(cannot)?;
    file.take(URL_FILE_BYTES_MAX + 1).read_to_end(&mut value).map_err(cannot)?;
    if value.len() as u64 > URL_FILE_BYTES_MAX {
        return Err(format!("'{url}' is larger than 48 MiB"));
    }
    Ok(value)
}

fn url_path(url: &str) -> Result<PathBuf, String> {
    let rest = match url.split_at_checked(5) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file:") => rest,
        _ => return Err(format!("'{url}': only file: URLs are read, as in file:photos/ann.jpg")),
    };
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let rest = match rest.strip_prefix("localhost/") {
        Some(_) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    let text = percent::decode(rest)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| format!("'{url}': after '%' come two hexadecimal digits, and the whole is UTF-8"))?;
    if Path::new(&text).components().any(|part| part == Component::ParentDir) {
        return Err(format!("'{url}': '..' is not followed"));
    }
    Ok(PathBuf::from(text))
}
