//! All namespaces of a server: those that are registered, and those that clients call into being.

use super::{
    handle::NamespaceHandle,
    live::{Common, LiveNamespace},
    namespace::Namespace,
    socket::Socket,
};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

pub(super) struct Namespaces {
    pub(super) registered: HashMap<Arc<str>, Arc<LiveNamespace>>,
    pub(super) dynamic: Vec<Dynamic>,
    children: RwLock<HashMap<Arc<str>, Arc<LiveNamespace>>>,
    common: Arc<Common>,
    on_namespace: Option<NamespaceHook>,
    /// Whether a child is dropped when its last socket has left.
    cleanup: bool,
}

pub(super) type NamespaceHook = Box<dyn Fn(&NamespaceHandle) + Send + Sync>;

/// Namespaces that are made when clients ask for them.
pub(super) struct Dynamic {
    pub(super) admits: Admits,
    pub(super) blueprint: Arc<Namespace>,
}

pub(super) enum Admits {
    Pattern(matchit::Router<()>),
    Predicate(Predicate),
}

type Predicate = Box<dyn Fn(NamespaceRequest) -> BoxFuture<'static, bool> + Send + Sync>;

/// A client's wish to join a namespace, for the predicate of a dynamic one.
#[derive(Clone, Debug)]
pub struct NamespaceRequest {
    path: Arc<str>,
    auth: Option<Box<str>>,
    connection: engineio::Connection,
}

impl NamespaceRequest {
    /// The path, as the client wrote it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Decodes what the client authenticates with; an empty object if it sent nothing.
    ///
    /// # Errors
    ///
    /// It is not a `T`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, crate::DecodeError> {
        Ok(serde_json::from_str(self.auth.as_deref().unwrap_or("{}"))?)
    }

    /// The request that opened the connection.
    pub fn handshake(&self) -> &engineio::Handshake {
        self.connection.handshake()
    }
}

impl Namespaces {
    pub(super) fn new(
        registered: HashMap<Arc<str>, Namespace>,
        dynamic: Vec<Dynamic>,
        common: Arc<Common>,
        on_namespace: Option<NamespaceHook>,
        cleanup: bool,
    ) -> Self {
        let registered = registered.into_iter().map(|(path, blueprint)| {
            let live = LiveNamespace::new(&path, Arc::new(blueprint), None, Arc::clone(&common));
            (Arc::clone(&live.path), live)
        });
        Self {
            registered: registered.collect(),
            dynamic,
            children: RwLock::default(),
            common,
            on_namespace,
            cleanup,
        }
    }

    /// One that is there already.
    pub(super) fn find(&self, path: &str) -> Option<Arc<LiveNamespace>> {
        self.registered.get(path).cloned().or_else(|| self.children().get(path).cloned())
    }

    /// One that is there already, or that a pattern lets come into being.
    pub(super) fn find_or_make(&self, path: &str) -> Option<Arc<LiveNamespace>> {
        self.find(path).or_else(|| {
            self.dynamic.iter().find_map(|dynamic| {
                let Admits::Pattern(pattern) = &dynamic.admits else { return None };
                Some(self.child(path, dynamic, parameters(pattern, path)?))
            })
        })
    }

    pub(super) fn all(&self) -> Vec<Arc<LiveNamespace>> {
        self.registered.values().chain(self.children().values()).cloned().collect()
    }

    /// The path in the form that is shared, if there is such a namespace.
    pub(super) fn shared_path(&self, path: &str) -> Option<Arc<str>> {
        let registered = self.registered.get_key_value(path).map(|(path, _)| Arc::clone(path));
        registered.or_else(|| self.children().get_key_value(path).map(|(path, _)| Arc::clone(path)))
    }

    /// Where a client's wish leads. Dynamic namespaces are asked in order of registration, each time.
    pub(super) async fn route(
        &self,
        path: &Arc<str>,
        auth: Option<&str>,
        connection: &engineio::Connection,
    ) -> Option<Arc<LiveNamespace>> {
        if let Some(live) = self.registered.get(path) {
            return Some(Arc::clone(live));
        }
        for dynamic in &self.dynamic {
            let parameters = match &dynamic.admits {
                Admits::Pattern(pattern) => parameters(pattern, path),
                Admits::Predicate(admits) => {
                    let request = NamespaceRequest {
                        path: Arc::clone(path),
                        auth: auth.map(Into::into),
                        connection: connection.clone(),
                    };
                    admits(request).await.then(Vec::new)
                }
            };
            if let Some(parameters) = parameters {
                return Some(self.child(path, dynamic, parameters));
            }
        }
        None
    }

    /// Makes a socket in `live`, or in its successor if it has been cleaned up meanwhile.
    pub(super) fn enter(
        &self,
        live: Arc<LiveNamespace>,
        make: impl FnOnce(Arc<LiveNamespace>) -> Socket,
    ) -> Socket {
        if live.parameters.is_none() || !self.cleanup {
            return make(live);
        }
        // Under the lock, so that it is not cleaned up before the socket is in.
        let mut children = self.children_mut();
        let live = Arc::clone(children.entry(Arc::clone(&live.path)).or_insert(live));
        make(live)
    }

    /// Drops a child that nobody is in any more; if sockets can be recovered, when that time is over.
    pub(super) fn clean(self: &Arc<Self>, live: &Arc<LiveNamespace>) {
        if live.parameters.is_none() || !self.cleanup || !live.rooms().is_empty() {
            return;
        }
        match &self.common.recovery {
            Some(recovery) if live.recovers => self.clean_after(live, recovery.max_disconnection),
            _ => self.clean_now(live),
        }
    }

    /// Drops a child when nobody has been in it for so long, and nobody can come back.
    fn clean_after(self: &Arc<Self>, live: &Arc<LiveNamespace>, pause: Duration) {
        let Some(clean_at) = Instant::now().checked_add(pause) else { return };
        if lock(&live.clean_at).replace(clean_at).is_some() {
            return;
        }
        let (this, live) = (Arc::clone(self), Arc::clone(live));
        tokio::spawn(async move {
            let mut wake_at = clean_at;
            loop {
                sleep_until(wake_at).await;
                let mut clean_at = lock(&live.clean_at);
                match *clean_at {
                    Some(later) if later > wake_at => wake_at = later,
                    _ => {
                        *clean_at = None;
                        break;
                    }
                }
            }
            this.clean_now(&live);
        });
    }

    fn clean_now(&self, live: &Arc<LiveNamespace>) {
        let mut children = self.children_mut();
        let same = children.get(&live.path).is_some_and(|child| Arc::ptr_eq(child, live));
        if same && live.rooms().is_empty() {
            children.remove(&live.path);
            drop(children);
            let adapter = Arc::clone(&live.adapter);
            tokio::spawn(async move { adapter.close().await });
        }
    }

    fn child(&self, path: &str, dynamic: &Dynamic, parameters: Vec<(String, String)>) -> Arc<LiveNamespace> {
        let (child, new) = {
            let mut children = self.children_mut();
            if let Some(child) = children.get(path) {
                return Arc::clone(child);
            }
            let (blueprint, common) = (Arc::clone(&dynamic.blueprint), Arc::clone(&self.common));
            let child = LiveNamespace::new(path, blueprint, Some(parameters), common);
            children.insert(Arc::clone(&child.path), Arc::clone(&child));
            (Arc::clone(&child), child)
        };
        if let Some(hook) = &self.on_namespace {
            hook(&NamespaceHandle(new));
        }
        child
    }

    // Nothing panics while it holds the lock, so that what it guards is whole.
    fn children(&self) -> RwLockReadGuard<'_, HashMap<Arc<str>, Arc<LiveNamespace>>> {
        self.children.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn children_mut(&self) -> RwLockWriteGuard<'_, HashMap<Arc<str>, Arc<LiveNamespace>>> {
        self.children.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().iter().map(|live| &live.path)).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parts of `path` that the pattern names, if it fits.
fn parameters(pattern: &matchit::Router<()>, path: &str) -> Option<Vec<(String, String)>> {
    let matched = pattern.at(path).ok()?;
    Some(matched.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}
