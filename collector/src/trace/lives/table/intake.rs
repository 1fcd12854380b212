//! What comes in: what happened to containers, what was read of them, and slow samples.

use std::{sync::Arc, time::SystemTime};

use super::{LifeKey, Lives};
use crate::{
    catalog::{Container, ContainerRef, Identity, OwnerId},
    reconcile::{
        moments::{LifeLoss, Moment, Moments, OomKill, Standing},
        slow::SlowSample,
    },
    trace::lives::{
        Figures, LivesSettings, Now,
        life::Life,
        settings::{MAX_EARLY, MAX_LIVES},
        slow::Slow,
    },
};

impl Lives {
    /// Takes what happened.
    pub fn take(&mut self, moments: Moments, now: &Now) {
        if moments.missed > 0 {
            self.view.lose(LifeLoss::Missed, moments.missed);
            // Some of these may have been forgotten unheard.
            let lives = &self.by_key;
            self.latest
                .retain(|owner, life| lives.contains_key(&(*owner, *life)));
            self.told.clear();
        }
        for moment in moments.of {
            match moment {
                Moment::There {
                    owner,
                    identity,
                    is_new,
                } => self.there(owner, identity, is_new, now),
                Moment::Filled { owner } => {
                    self.begin_again(owner, now);
                    if let Some(life) = self.latest_of(owner) {
                        life.fill();
                    }
                }
                Moment::Emptied { owner, at } => {
                    if let Some(life) = self.latest_of(owner) {
                        life.empty(now.clocks.wall(at), now);
                    }
                }
                Moment::Removed { owner, at } => {
                    if let Some(life) = self.latest_of(owner) {
                        life.remove(at, now);
                    }
                }
                Moment::Forgotten { owner } => {
                    self.latest.remove(&owner);
                    self.told.remove(&owner);
                    self.view.forget(owner);
                }
                Moment::ToldExit {
                    container,
                    code,
                    finished,
                } => self.told_exit(&container, code, finished, now),
                Moment::OomKill(kill) => self.oom_kill(&kill, now),
            }
        }
    }

    /// Takes where a life stands; `None` if another has begun at its place.
    pub fn stand(&mut self, key: LifeKey, standing: Option<&Standing>, now: &Now) {
        let Some(life) = self.by_key.get_mut(&key) else {
            return;
        };
        match standing {
            Some(standing) => life.stand(standing, &self.boot, now),
            None => life.remove(now.wall, now),
        }
    }

    /// Takes a reading of a life.
    pub fn read(&mut self, key: LifeKey, figures: &Figures, now: &Now) {
        if let Some(life) = self.by_key.get_mut(&key) {
            let refused = life.read(figures, false, &self.settings, now);
            self.view.lose(LifeLoss::SpanFull, refused);
        }
    }

    /// Takes a slow sample. `container` is the owner whose container it is of, and `inside` whose cgroup it was if
    /// that is another's; `disk` tells the kernel's name of its disk.
    pub fn slow(
        &mut self,
        sample: SlowSample,
        container: OwnerId,
        inside: Option<Arc<Identity>>,
        disk: impl FnOnce(&SlowSample) -> Option<String>,
        now: &Now,
    ) {
        let key = if container == sample.owner {
            (container, sample.generation)
        } else {
            let latest = self.latest.get(&container).copied();
            (container, latest.unwrap_or_default())
        };
        if !self.by_key.contains_key(&key) {
            let told = self.told.get(&key.0);
            self.lose_of(told.is_some_and(|told| told.key == key));
            return;
        }
        if !self.is_within_rate(key, now) {
            return;
        }
        let Some(life) = self.by_key.get_mut(&key) else {
            return;
        };
        let slow = Slow {
            disk: disk(&sample),
            sample,
            inside,
        };
        if life.trace.is_some_and(|trace| trace.is_sent) {
            self.tell_slow(key, &slow, now);
        } else if life.early.len() < MAX_EARLY {
            life.early.push(slow);
        } else {
            self.view.lose(LifeLoss::ContainerRate, 1);
        }
    }

    fn there(&mut self, owner: OwnerId, identity: Arc<Identity>, is_new: bool, now: &Now) {
        let key = (owner, identity.generation);
        let Some(container) = identity.own_container().and_then(Container::key) else {
            return;
        };
        // Of one that was found, another hierarchy's cgroup can be new.
        let is_whole = is_new && !identity.is_found;
        if let Some(life) = self.by_key.get_mut(&key) {
            // One more hierarchy, or what a walk saw before its event came.
            life.is_whole |= is_whole;
            life.began_by(identity.started, now);
            return;
        }
        if self.latest.get(&owner) == Some(&identity.generation) {
            // It was told to its end already, or found no room.
            return;
        }
        // Another life begins only after the one before.
        if let Some(before) = self.latest_of(owner) {
            before.remove(identity.started, now);
        }
        // Also of one without room: it is counted once, and what is told of it is not the one before's.
        self.latest.insert(owner, key.1);
        self.told.remove(&owner);
        if self.by_key.len() >= MAX_LIVES {
            self.view.lose(LifeLoss::Containers, 1);
            return;
        }
        let of = self.of_container.entry(container.clone()).or_default();
        of.push(key);
        let life = Life::new(key, identity, container, is_whole, &self.settings, now);
        self.by_key.insert(key, life);
    }

    /// A process came in where the life may have been told to its end.
    fn begin_again(&mut self, owner: OwnerId, now: &Now) {
        // Without room it has no further trace, as one that comes then.
        let Some(told) = self.told.remove(&owner) else {
            return;
        };
        if self.by_key.len() >= MAX_LIVES {
            self.view.lose(LifeLoss::Containers, 1);
            return;
        }
        let life = Life::again(&told, &self.settings, now);
        let of = self.of_container.entry(life.container.clone()).or_default();
        of.push(life.key);
        self.by_key.insert(life.key, life);
    }

    fn told_exit(
        &mut self,
        container: &ContainerRef,
        code: Option<i32>,
        finished: Option<SystemTime>,
        now: &Now,
    ) {
        let keys = self.of_container.get(container).into_iter().flatten();
        let lives = keys.filter_map(|key| self.by_key.get(key));
        let can = lives.filter(|life| life.can_have_ended(finished, now));
        let Some(key) = can.max_by_key(|life| life.began_at).map(|life| life.key) else {
            return;
        };
        if let Some(life) = self.by_key.get_mut(&key) {
            life.hear_exit(code, finished, now);
        }
    }

    fn oom_kill(&mut self, kill: &OomKill, now: &Now) {
        let Some((owner, identity)) = &kill.victim else {
            // It may have been a container's.
            self.view.lose(LifeLoss::Missed, 1);
            return;
        };
        let key = (*owner, identity.generation);
        let key = if self.by_key.contains_key(&key) {
            key
        } else {
            // What is no container's has no trace.
            let Some(of) = identity.container.as_ref().and_then(Container::key) else {
                return;
            };
            let lives = self.of_container.get(&of);
            let Some(key) = lives.and_then(|lives| lives.last().copied()) else {
                let was_told = self.told.values().any(|told| told.container == of);
                self.lose_of(was_told);
                return;
            };
            key
        };
        if let Some(life) = self.by_key.get_mut(&key)
            && !life.oom_kill(kill, now)
        {
            self.view.lose(LifeLoss::SpanFull, 1);
        }
    }

    fn is_within_rate(&mut self, key: LifeKey, now: &Now) -> bool {
        let Some(life) = self.by_key.get_mut(&key) else {
            return false;
        };
        let LivesSettings {
            container, total, ..
        } = self.settings;
        let loss = if !life.bucket.has(container, now.ktime) {
            LifeLoss::ContainerRate
        } else if !self.bucket.has(total, now.ktime) {
            LifeLoss::TotalRate
        } else {
            life.bucket.take();
            self.bucket.take();
            return true;
        };
        self.view.lose(loss, 1);
        false
    }

    /// Something is of a life that is not followed, or no longer.
    fn lose_of(&self, was_told: bool) {
        let loss = if was_told {
            LifeLoss::Late
        } else {
            LifeLoss::Containers
        };
        self.view.lose(loss, 1);
    }
}
