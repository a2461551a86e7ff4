//! What an entry says that whoever binds as it may take: 389 Directory Server's operational attributes.
//!
//! They are read where somebody becomes the entry, and hold as long as it is that; who may write them is a matter of access
//! rules, which `targetattr = "*"` does not open, as they are operational. What keeps the server whole (memory for sorting,
//! sizes of requests and transactions, connections) is nobody's to raise.

use std::sync::{Arc, LazyLock};

use crate::dit::{Entry, View};
use crate::model::AttributeDescription;
use crate::policy::limits::OwnLimits;

/// The attributes: size, time, look-through, pages, look-through by pages, idle.
static NAMES: LazyLock<[Option<AttributeDescription>; 6]> = LazyLock::new(|| {
    ["nsSizeLimit", "nsTimeLimit", "nsLookThroughLimit", "nsPagedSizeLimit", "nsPagedLookThroughLimit", "nsIdleTimeout"]
        .map(|name| AttributeDescription::parse(name).ok())
});

/// The limits of an entry's own; `None` where it has none.
pub(super) fn own_limits(view: View<'_>, entry: &Entry<'_>) -> Option<Arc<OwnLimits>> {
    let [size, time_s, look_through, paged_size, paged_look_through, idle_s] = NAMES.each_ref().map(|name| {
        let attribute = view.catalog().find(name.as_ref()?)?;
        entry.attribute(attribute)?.values().next().and_then(OwnLimits::read)
    });
    let own = OwnLimits { size, time_s, look_through, paged_size, paged_look_through, idle_s };
    (own != OwnLimits::default()).then(|| Arc::new(own))
}
