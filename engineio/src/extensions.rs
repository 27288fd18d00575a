//! What hooks attach to a connection.

use std::{
    any::{Any, TypeId},
    fmt, mem,
};

/// Values of any types, one of each.
///
/// For the one or two values that most connections have, this takes a third of the memory of a map, and a server has
/// very many connections.
#[derive(Default)]
pub struct Extensions(Box<[Extension]>);

type Extension = (TypeId, Box<dyn Any + Send + Sync>);

impl Extensions {
    /// Adds a value, and returns the one of the same type that was there.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        if let Some(there) = self.get_mut() {
            return Some(mem::replace(there, value));
        }
        let mut all = Vec::from(mem::take(&mut self.0));
        all.reserve_exact(1);
        all.push((TypeId::of::<T>(), Box::new(value)));
        self.0 = all.into();
        None
    }

    /// The value of this type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let (_, value) = self.0.iter().find(|(of, _)| *of == TypeId::of::<T>())?;
        value.downcast_ref()
    }

    /// The value of this type, to be changed.
    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        let (_, value) = self.0.iter_mut().find(|(of, _)| *of == TypeId::of::<T>())?;
        value.downcast_mut()
    }

    /// Takes the value of this type out.
    pub fn remove<T: 'static>(&mut self) -> Option<T> {
        let at = self.0.iter().position(|(of, _)| *of == TypeId::of::<T>())?;
        let mut all = Vec::from(mem::take(&mut self.0));
        let (_, value) = all.swap_remove(at);
        self.0 = all.into();
        value.downcast().ok().map(|value| *value)
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions").field("len", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_of_each_type() {
        let mut extensions = Extensions::default();
        assert_eq!(extensions.insert(1_u8), None);
        assert_eq!(extensions.insert("a"), None);
        assert_eq!(extensions.insert(2_u8), Some(1));
        *extensions.get_mut::<&str>().unwrap() = "b";
        assert_eq!((extensions.get::<u8>(), extensions.get::<&str>()), (Some(&2), Some(&"b")));
        assert_eq!((extensions.remove::<u8>(), extensions.remove::<u8>()), (Some(2), None));
        assert_eq!((extensions.get::<u8>(), extensions.get::<&str>()), (None, Some(&"b")));
    }
}
