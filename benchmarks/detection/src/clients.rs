//! Who asks at the edge: a population of people, sometimes a crowd, sometimes a few that abuse.

use std::net::{IpAddr, Ipv4Addr};

use protocol::telemetry::{Cell, Client, ClientsOther, MAX_CLIENTS, Window};
use rand::seq::SliceRandom as _;

use crate::Dice;
use crate::cells::poisson;

/// People, and how busy the busiest of them are.
#[derive(Debug, Default)]
pub struct Clients;

/// The abuser `n`: 20 of them fit into no network a guard would block as one.
pub fn abuser(n: usize) -> IpAddr {
    let (high, low) = ((n / 200) as u8, (n % 200) as u8);
    Ipv4Addr::new(203, high, low.wrapping_mul(13), low).into()
}

impl Clients {
    /// Fills a window's clients, as a proxy does: the busiest by address, the rest together.
    pub fn fill(
        &self,
        window: &mut Window,
        cells: &[Cell],
        abuse: Option<(usize, f64)>,
        crowd: f64,
        dice: &mut Dice,
    ) {
        let total: u64 = cells.iter().map(|c| c.requests).sum();
        let mut clients: Vec<Client> = Vec::new();
        for n in 0..abuse.map_or(0, |(addresses, _)| addresses) {
            let requests = poisson(abuse.map_or(0.0, |(_, rps)| rps), dice).min(total);
            clients.push(client(abuser(n), requests, requests * 9 / 10, requests));
        }
        let abused: u64 = clients.iter().map(|c| c.requests).sum();
        let people = total.saturating_sub(abused);
        // Zipf: the busiest person makes 1 % of what people ask, the next half of that, and so on. A crowd brings
        // new faces, not busier ones.
        let busiest = people as f64 * 0.01 / crowd.max(1.0);
        for rank in 0..MAX_CLIENTS {
            let requests = poisson(busiest / (rank + 1) as f64, dice);
            let at = (rank as u64 + window.seq / 300 * if crowd > 1.0 { 7 } else { 0 }) as u8;
            clients.push(client(Ipv4Addr::new(198, 51, 100, at).into(), requests, 0, requests.min(3)));
        }
        clients.retain(|c| c.requests > 0);
        // Of those who ask alike chance decides who is named.
        clients.shuffle(dice);
        clients.sort_by_key(|client| std::cmp::Reverse(client.requests));
        let unnamed = clients.split_off(MAX_CLIENTS.min(clients.len()));
        let sum = |of: &[Client]| of.iter().map(|c| c.requests).sum::<u64>();
        let requests = total.saturating_sub(sum(&clients));
        // Beside those that were drawn one by one there are people who ask a little more than once.
        let people = requests.saturating_sub(sum(&unnamed)) as f64 * 0.8;
        let distinct = unnamed.len() as u64 + people.ceil() as u64;
        window.clients_other = Some(ClientsOther { requests, distinct });
        window.clients = clients;
    }
}

fn client(ip: IpAddr, requests: u64, status_4xx: u64, distinct_paths: u64) -> Client {
    Client { ip, requests, status_4xx, status_5xx: 0, denied: 0, distinct_paths }
}
