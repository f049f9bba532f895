//! The outside world of a simulation: providers of every mixture of powers, and the objects that their calls leave
//! behind. It is a witness: it knows calls (instance, key, token, not-after) and objects, and must not know the state
//! machine or what anybody desires.

use std::collections::{BTreeMap, BTreeSet};

/// What one kind of provider can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Powers {
    /// The type name.
    pub name: String,
    /// Its objects live on one host.
    pub host_bound: bool,
    /// A second create under the same key answers with the first object.
    pub keys: bool,
    /// A call with a smaller token than one seen before is refused.
    pub fences: bool,
    /// The physical id is a name that the definition gives; it is created exclusively.
    pub names: bool,
    /// It can be asked what is there.
    pub looks: bool,
    /// It has no outside: ids follow from the instance.
    pub derived: bool,
    /// How long a fresh object may be missing from a listing, in ms.
    pub lag_ms: u64,
}

/// The properties of an object, evaluated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// Can be changed in place.
    pub plain: u64,
    /// The part of `plain` that does not depend on other resources.
    pub own: u64,
    /// Can only be chosen at creation.
    pub shape: u64,
    /// The physical id, where ids are names.
    pub name: Option<String>,
}

/// One thing out there.
#[derive(Clone, Debug)]
pub struct Object {
    /// Index into the kinds of provider.
    pub kind: usize,
    /// Where it lives, if it is host-bound.
    pub host: Option<String>,
    /// What the provider calls it.
    pub physical: String,
    /// The instance it carries as a tag.
    pub tag: u64,
    /// What it is like.
    pub content: Content,
    /// When it came to be.
    pub made_at_ms: u64,
    /// Instances that the call which last shaped it stood on.
    pub built_on: BTreeSet<u64>,
}

/// What a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Make an object.
    Create,
    /// Change one.
    Update,
    /// Remove one.
    Delete,
    /// See what is there.
    Look,
}

/// One call to a provider.
#[derive(Clone, Debug)]
pub struct Call {
    /// Index into the kinds of provider.
    pub kind: usize,
    /// Create, update, delete or look.
    pub verb: Verb,
    /// The instance that it is about.
    pub instance: u64,
    /// Idempotency key.
    pub key: String,
    /// Fencing token.
    pub token: u64,
    /// After this the call has no effect any more.
    pub not_after_ms: u64,
    /// The host of the engine that calls.
    pub host: String,
    /// The object meant, where it is known.
    pub physical: Option<String>,
    /// What it should be like (create, update).
    pub content: Option<Content>,
    /// What the caller says that it stands on.
    pub built_on: BTreeSet<u64>,
    /// Who calls: member and incarnation.
    pub by: (u64, u64),
    /// The caller still held the assignment when it had its effect; late effects do not move `built_on`.
    pub in_time: bool,
}

/// What a provider says when nothing goes wrong on its side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Made, changed or found: the id and the content.
    Present(String, Content),
    /// Removed, or not there.
    Absent,
    /// Cannot be changed in place; nothing was changed.
    NeedsReplace,
    /// The name is another's.
    Conflict,
    /// A larger token has been seen, or it is too late.
    Refused,
}

/// A wrong that the world itself has seen.
pub type Accusation = String;

/// Objects, fences, and what has happened to them.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The kinds of provider.
    pub kinds: Vec<Powers>,
    /// What is there, by serial number.
    pub objects: BTreeMap<u64, Object>,
    /// Largest token seen per instance, by the providers that fence.
    fences: BTreeMap<u64, u64>,
    next_serial: u64,
    /// First answers to creates, by key.
    answered: BTreeMap<(usize, String), (String, Content)>,
    /// Instances whose object a person removed or whose host went: a second creation is no wrong.
    bereaved: BTreeSet<u64>,
    /// Instances of calls that outlived their time: a second creation is not the state machine's wrong.
    overrun: BTreeSet<u64>,
    /// Physical ids that a report has named.
    told: BTreeSet<String>,
    /// Instances whose deletion out of order is agreed: `delete_first`.
    pub may_go_first: BTreeSet<u64>,
    /// What has been seen to go wrong.
    pub accusations: Vec<Accusation>,
    /// Effects per instance that left something: creations alive or not.
    creations: BTreeMap<u64, u64>,
    /// Number of effects, all in all.
    pub effects: u64,
    /// Calls refused because of their token.
    pub fenced_off: u64,
    /// Repeated creates that found the first one's object by key.
    pub deduplicated: u64,
}

impl World {
    /// An empty world with these providers.
    pub fn new(kinds: Vec<Powers>) -> Self {
        World {
            kinds,
            next_serial: 1,
            ..World::default()
        }
    }

    /// Carries out one call, now.
    pub fn perform(&mut self, call: &Call, now_ms: u64) -> Answer {
        let powers = self.kinds[call.kind].clone();
        if powers.fences {
            let fence = self.fences.entry(call.instance).or_insert(0);
            if call.token < *fence {
                self.fenced_off += 1;
                return Answer::Refused;
            }
            *fence = call.token;
        }
        if call.verb != Verb::Look && now_ms > call.not_after_ms {
            return Answer::Refused;
        }
        match call.verb {
            Verb::Create => self.create(&powers, call, now_ms),
            Verb::Update => self.update(&powers, call),
            Verb::Delete => self.delete(&powers, call),
            Verb::Look => self.look(&powers, call, now_ms),
        }
    }

    fn create(&mut self, powers: &Powers, call: &Call, now_ms: u64) -> Answer {
        let content = call.content.clone().expect("a create says what to make");
        if powers.derived {
            self.effects += 1;
            return Answer::Present(derived_id(call.instance), content);
        }
        let host = powers.host_bound.then(|| call.host.clone());
        // A provider that honours keys remembers its first answer, even if the object has gone since.
        if powers.keys
            && let Some((physical, content)) = self.answered.get(&(call.kind, call.key.clone()))
        {
            let of_another = powers.names
                && self
                    .find_physical(call.kind, host.as_deref(), physical)
                    .is_some_and(|(_, there)| there.tag != call.instance);
            if of_another {
                return Answer::Conflict;
            }
            self.deduplicated += 1;
            return Answer::Present(physical.clone(), content.clone());
        }
        if powers.names {
            let name = content.name.clone().expect("a named type has a name");
            if let Some((_, there)) = self.find_physical(call.kind, host.as_deref(), &name) {
                return if there.tag == call.instance {
                    Answer::Present(name, there.content.clone())
                } else {
                    Answer::Conflict
                };
            }
            return self.make(call, host, name, content, now_ms);
        }
        let physical = format!("{}-{}", powers.name, self.next_serial);
        self.make(call, host, physical, content, now_ms)
    }

    fn make(
        &mut self,
        call: &Call,
        host: Option<String>,
        physical: String,
        content: Content,
        now_ms: u64,
    ) -> Answer {
        let twice = self.objects.values().any(|o| o.tag == call.instance);
        if twice && !self.overrun.contains(&call.instance) {
            self.accuse(format!(
                "i{} was made twice: {physical} beside its first object",
                call.instance
            ));
        }
        self.note_order(call);
        let serial = self.next_serial;
        self.next_serial += 1;
        self.effects += 1;
        *self.creations.entry(call.instance).or_insert(0) += 1;
        self.answered.insert(
            (call.kind, call.key.clone()),
            (physical.clone(), content.clone()),
        );
        let object = Object {
            kind: call.kind,
            host,
            physical: physical.clone(),
            tag: call.instance,
            content: content.clone(),
            made_at_ms: now_ms,
            // What a call that outlived its time stood on may have gone in good order.
            built_on: match self.overrun.contains(&call.instance) {
                true => BTreeSet::new(),
                false => call.built_on.clone(),
            },
        };
        self.objects.insert(serial, object);
        Answer::Present(physical, content)
    }

    fn update(&mut self, powers: &Powers, call: &Call) -> Answer {
        let content = call.content.clone().expect("an update says what to reach");
        if powers.derived {
            self.effects += 1;
            return Answer::Present(derived_id(call.instance), content);
        }
        let Some(serial) = self.find_own(powers, call) else {
            return Answer::Absent;
        };
        let object = &self.objects[&serial];
        if object.content.shape != content.shape || object.content.name != content.name {
            return Answer::NeedsReplace;
        }
        self.note_order(call);
        let object = self.objects.get_mut(&serial).expect("found above");
        object.content = content.clone();
        if call.in_time {
            object.built_on = call.built_on.clone();
        }
        self.effects += 1;
        Answer::Present(object.physical.clone(), content)
    }

    fn delete(&mut self, powers: &Powers, call: &Call) -> Answer {
        if powers.derived {
            self.effects += 1;
            return Answer::Absent;
        }
        let Some(serial) = self.find_own(powers, call) else {
            return Answer::Absent;
        };
        let tag = self.objects[&serial].tag;
        let standing_on = self
            .objects
            .values()
            .find(|o| o.tag != tag && o.built_on.contains(&tag));
        if let Some(other) = standing_on
            && call.in_time
            && !self.may_go_first.contains(&tag)
            && !self.another_may_be_stood_on(tag)
        {
            let wrong = format!(
                "i{tag} was deleted while the object of i{} stands on it",
                other.tag
            );
            self.accuse(wrong);
        }
        self.objects.remove(&serial);
        self.effects += 1;
        Answer::Absent
    }

    /// Of two objects with one tag the other may be the one that is stood on, even if somebody has removed it since.
    fn another_may_be_stood_on(&self, tag: u64) -> bool {
        let made_late = self.overrun.contains(&tag) && self.bereaved.contains(&tag);
        made_late || self.objects.values().filter(|o| o.tag == tag).count() > 1
    }

    fn look(&mut self, powers: &Powers, call: &Call, now_ms: u64) -> Answer {
        if powers.derived {
            return Answer::Absent;
        }
        let found = match &call.physical {
            Some(_) => self.find_own(powers, call),
            None => self
                .objects
                .iter()
                .find(|(_, o)| {
                    o.kind == call.kind
                        && o.tag == call.instance
                        && (!powers.host_bound || o.host.as_deref() == Some(call.host.as_str()))
                        && o.made_at_ms + powers.lag_ms <= now_ms
                })
                .map(|(serial, _)| *serial),
        };
        match found {
            Some(serial) => {
                let object = &self.objects[&serial];
                Answer::Present(object.physical.clone(), object.content.clone())
            }
            None => Answer::Absent,
        }
    }

    /// What an update or create must find: everything that it says it stands on has come to be at some time.
    fn note_order(&mut self, call: &Call) {
        if !call.in_time {
            return;
        }
        for below in &call.built_on {
            let there = self.objects.values().any(|o| o.tag == *below);
            if !there && !self.bereaved.contains(below) && !self.may_go_first.contains(below) {
                let wrong = format!(
                    "{:?} of i{} stands on i{below}, which is not there",
                    call.verb, call.instance
                );
                self.accuse(wrong);
            }
        }
    }

    fn find_physical(
        &self,
        kind: usize,
        host: Option<&str>,
        physical: &str,
    ) -> Option<(u64, &Object)> {
        self.objects
            .iter()
            .find(|(_, o)| o.kind == kind && o.host.as_deref() == host && o.physical == physical)
            .map(|(serial, o)| (*serial, o))
    }

    /// The object that a call names, if this provider lets the call touch it.
    fn find_own(&self, powers: &Powers, call: &Call) -> Option<u64> {
        let physical = call.physical.as_ref()?;
        let host = powers.host_bound.then_some(call.host.as_str());
        let (serial, object) = self.find_physical(call.kind, host, physical)?;
        (!powers.names || object.tag == call.instance).then_some(serial)
    }

    /// Somebody removes an object by hand.
    pub fn vanish(&mut self, serial: u64) {
        if let Some(object) = self.objects.remove(&serial) {
            self.bereaved.insert(object.tag);
        }
    }

    /// Somebody changes an object by hand.
    pub fn tamper(&mut self, serial: u64, plain: u64) {
        if let Some(object) = self.objects.get_mut(&serial) {
            object.content.plain = plain;
        }
    }

    /// A host is gone for good, with all that lived on it.
    pub fn lose_host(&mut self, host: &str) {
        let gone: Vec<u64> = self
            .objects
            .iter()
            .filter(|(_, o)| o.host.as_deref() == Some(host))
            .map(|(serial, _)| *serial)
            .collect();
        for serial in gone {
            self.vanish(serial);
        }
    }

    /// An instance that never leaves an object (derived ids): others may stand on it.
    pub fn excuse(&mut self, instance: u64) {
        self.bereaved.insert(instance);
    }

    /// Somebody has removed an object of the instance, or its host went.
    pub fn is_bereaved(&self, instance: u64) -> bool {
        self.bereaved.contains(&instance)
    }

    /// A call outlives its time, which this provider does not keep: it may make a second object.
    pub fn overrun(&mut self, instance: u64) {
        self.overrun.insert(instance);
    }

    /// A report names an object.
    pub fn tell(&mut self, physical: &str) {
        self.told.insert(physical.to_owned());
    }

    /// Made beside another by a call that outlived its time or was followed by one that did, and its caller never
    /// heard of it. Without fences an effect is promised at least once, and what nobody can name nobody can remove.
    pub fn is_surplus(&self, object: &Object) -> bool {
        self.overrun.contains(&object.tag) && !self.told.contains(&object.physical)
    }

    /// An instance is no longer known: nothing it left behind stands in the way of a deletion.
    pub fn let_go(&mut self, tag: u64, instance: u64) {
        for object in self
            .objects
            .values_mut()
            .filter(|o| o.tag == tag || o.tag == instance)
        {
            object.built_on.clear();
        }
    }

    /// The objects that carry an instance.
    pub fn objects_of(&self, instance: u64) -> impl Iterator<Item = (u64, &Object)> {
        self.objects
            .iter()
            .filter(move |(_, o)| o.tag == instance)
            .map(|(serial, o)| (*serial, o))
    }

    /// Puts a wrong on record.
    pub fn accuse(&mut self, wrong: Accusation) {
        self.accusations.push(wrong);
    }
}

/// The physical id of an instance whose type has no outside.
pub fn derived_id(instance: u64) -> String {
    format!("d{instance}")
}

/// The attributes that an object of this content offers, as the provider reports them.
pub fn attributes(physical: &str, content: &Content) -> Vec<(String, Vec<u8>)> {
    vec![
        ("id".into(), physical.as_bytes().to_vec()),
        ("plain".into(), content.plain.to_string().into_bytes()),
        ("half".into(), (content.own / 2).to_string().into_bytes()),
        ("shape".into(), content.shape.to_string().into_bytes()),
    ]
}
