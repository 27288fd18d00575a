//! Who is told when stored sessions change.

use crate::Sid;

/// Hears of changes in a store. It is called by the store's own tasks or whoever causes a change, so it must not
/// block; what has changed, it learns by loading.
pub trait Observer: Send + Sync {
    /// The session was changed, touched or destroyed, or has expired.
    fn changed(&self, sid: &Sid);

    /// Changes may have been missed, as the connection to the store was lost: any session may have changed.
    fn lost(&self);
}
