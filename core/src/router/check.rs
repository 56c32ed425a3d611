//! Every invariant of a node, one sentence each. For tests and simulation: the work grows
//! with the size of the tables.

use super::Router;
use super::stations::Life;

impl Router<'_> {
    /// Whether everything fits together; what does not, otherwise.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.doomed != 0 && !self.pressed {
            return Err("stations: somebody doomed was not let go of");
        }
        let (mut held, mut joins) = (0, 0);
        for n in 1..=self.stations.made() {
            let st = &self.stations[n];
            held += self.pool.held(&st.out) + self.pool.held(&st.stash);
            joins += st.joins as usize;
            match st.life {
                Life::Free => {
                    if self.wheel.is_set(n - 1) {
                        return Err("stations: a free row has a timer");
                    }
                    if !st.out.is_empty() || !st.stash.is_empty() {
                        return Err("stations: a free row holds memory");
                    }
                    #[cfg(feature = "durable")]
                    if st.mail.first != 0 {
                        return Err("stations: a free row has mail in its outbox");
                    }
                }
                Life::Doomed(_) if !self.pressed => return Err("stations: a doomed one outlived its call"),
                Life::Doomed(_) => {}
                Life::New | Life::Ready | Life::Closing(_) => {
                    let going = matches!(st.life, Life::Closing(_)) && st.out.is_empty();
                    let pings = st.session.dialect().ways().pings;
                    if !self.wheel.is_set(n - 1) && !going && (pings || st.life != Life::Ready) {
                        return Err("stations: one without a timer could stay for ever");
                    }
                    if self.stations.find(self.stations.id(n)) != Some(n) {
                        return Err("stations: an address does not find its row");
                    }
                }
            }
            if !matches!(st.life, Life::Ready | Life::Doomed(_)) && (st.joins, st.asks) != (0, 0) {
                return Err("stations: one that is not introduced has joined or asked");
            }
            let outbox = self.settings.outbox_in(st.session.dialect());
            if st.out.len() > outbox + outbox / 4 + 128 {
                return Err("stations: an outbox beyond its limit");
            }
        }
        if joins != self.names.members.used() {
            return Err("stations: memberships are counted wrongly");
        }
        held += self.mail.check(&self.names, &self.pool)?;
        #[cfg(feature = "msgq")]
        {
            held += self.requests.held(&self.pool);
        }
        self.pool.check(held)?;
        self.names.check()?;
        self.requests.check(&self.stations)?;
        self.flags.check()?;
        self.wheel.check()?;
        self.store.get().check()?;
        #[cfg(feature = "durable")]
        self.barriers.check(&self.stations)?;
        #[cfg(feature = "clacks")]
        self.check_clacks()?;
        #[cfg(feature = "sniff")]
        self.check_sniff()?;
        for w in 1..=self.watches.made() {
            if self.watches.get(w).is_some_and(|w| !self.stations[w.station].is_linked()) {
                return Err("watches: the watcher is gone");
            }
        }
        Ok(())
    }
}
