//! No traffic, no telemetry and a lost proxy are three things, and none of them an incident.

use super::*;
use crate::domain::{ServiceView, Silence};

fn service(world: &World, name: &str) -> ServiceView {
    world.brain.view().services.into_iter().find(|s| s.service == name).unwrap()
}

/// Time passes in which nothing of `mute` is told; the fleet still answers, but for those that are `gone`.
fn hush(world: &mut World, seconds: usize, mute: &dyn Fn(&str) -> bool, gone: &dyn Fn(&str) -> bool) {
    for _ in 0..seconds {
        let mut windows = world.mesh.second();
        windows.retain(|w| !mute(&w.proxy) && !gone(&w.proxy));
        let mut fleet = world.mesh.fleet();
        fleet.retain(|proxy, _| !gone(proxy));
        let now_ms = world.mesh.now_ms();
        let events =
            world.brain.tick(TickInput { now_ms, windows, fleet, audit_ok: true, ..TickInput::default() });
        assert!(events.events.is_empty(), "{:#?}", events.events);
    }
}

#[test]
fn three_kinds_of_silence_are_told_apart_and_none_is_an_incident() {
    let two = |mut spec: Spec| {
        spec.proxies = 2;
        spec
    };
    let mut world = World::new(shop(50.0).into_iter().map(two).collect(), 5, Mode::Autonomous);
    world.run(400);
    assert_eq!(service(&world, "cart").silence, None);
    assert!((30.0..70.0).contains(&service(&world, "cart").usual_rps.unwrap()));

    hush(&mut world, 15, &|p| p == "web-proxy", &|p| p == "cart-proxy-2");
    let (cart, catalog) = (service(&world, "cart"), service(&world, "catalog"));
    assert_eq!((cart.silence, cart.mute_proxies.as_slice()), (None, &["web-proxy".to_owned()][..]));
    assert_eq!((catalog.silence, catalog.lost_proxies.as_slice()), (None, &["cart-proxy-2".to_owned()][..]));

    hush(&mut world, 15, &|p| p.starts_with("web"), &|p| p.starts_with("cart"));
    assert_eq!(service(&world, "cart").silence, Some(Silence::NoTelemetry));
    assert_eq!(service(&world, "catalog").silence, Some(Silence::LostProxies));

    for _ in 0..15 {
        world.second_with(|windows| windows.iter_mut().for_each(|w| w.cells.clear()));
    }
    for name in ["web", "cart", "catalog"] {
        assert_eq!(service(&world, name).silence, Some(Silence::NoTraffic), "{name}");
    }
    world.run(30);
    assert_eq!(service(&world, "catalog").silence, None);
    assert_eq!(world.opened(), []);
}
