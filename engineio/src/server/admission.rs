//! How many TCP connections there may be, in all and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::Config;

/// The TCP connections that are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One TCP connection's place, given up when it is dropped. Without limits there is nothing to hold.
#[derive(Debug)]
pub(crate) struct Permit(Option<Box<(Admission, Option<IpAddr>)>>);

impl Admission {
    /// Gives a place, unless a limit is reached.
    pub(crate) fn admit(&self, address: Option<IpAddr>, config: &Config) -> Option<Permit> {
        let limits = &config.limits;
        let address = address.filter(|_| limits.max_connections_per_address.is_some());
        if limits.max_connections.is_none() && address.is_none() {
            return Some(Permit(None));
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let here = address.map_or(0, |address| open.by_address.get(&address).copied().unwrap_or(0));
        let full = limits.max_connections.is_some_and(|most| open.all >= most)
            || limits.max_connections_per_address.is_some_and(|most| here >= most);
        if full {
            tracing::debug!(?address, "a connection over the limit is closed");
            return None;
        }
        open.all += 1;
        if let Some(address) = address {
            open.by_address.insert(address, here + 1);
        }
        Some(Permit(Some(Box::new((self.clone(), address)))))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some((admission, address)) = self.0.as_deref() else { return };
        let mut open = admission.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(address) = address.as_ref()
            && let Some(here) = open.by_address.get_mut(address)
        {
            *here -= 1;
            if *here == 0 {
                open.by_address.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let (a, b) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        let admission = Admission::default();
        let config = Config::default().max_connections(3).max_connections_per_address(2);
        let first = admission.admit(a, &config).unwrap();
        let second = admission.admit(a, &config).unwrap();
        assert!(admission.admit(a, &config).is_none(), "the address has two");
        let third = admission.admit(b, &config).unwrap();
        assert!(admission.admit(b, &config).is_none(), "there are three");
        drop(first);
        let fourth = admission.admit(a, &config).unwrap();
        drop((second, third, fourth));
        assert!(admission.open.lock().unwrap().by_address.is_empty());
        assert_eq!(admission.open.lock().unwrap().all, 0);
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let admission = Admission::default();
        let permit = admission.admit(Some([10, 0, 0, 1].into()), &Config::default()).unwrap();
        assert!(permit.0.is_none());
    }
}
