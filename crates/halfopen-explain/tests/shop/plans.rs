//! Shops that fail in known ways.

use super::{Fault, Shop, Visit};

/// One request in a hundred fails anywhere for no reason, while services are deployed.
pub(crate) fn noisy(seed: u64) -> Shop {
    let mut shop = Shop::new(seed).versions(|service, pod, second| match service {
        "payment" if pod == 1 && second >= 300.0 => "2.3.0",
        "catalog" if second >= 200.0 => "1.5.0",
        _ => "1.4.0",
    });
    shop.background = 0.01;
    shop
}

/// Carts of more than 50 things break checkout from 200 s on.
pub(crate) fn large_cart(seed: u64) -> Shop {
    Shop::new(seed).failing(|visit| {
        let hit = visit.checkout && visit.cart_items > 50 && visit.second >= 200.0;
        hit.then(|| Fault::inside("checkout", "too many rows")).flatten()
    })
}

/// Version 2.3.0 of payment comes to one pod at 300 s and fails for gift cards.
pub(crate) fn gift_card(seed: u64) -> Shop {
    Shop::new(seed)
        .versions(|service, pod, second| match service {
            "payment" if pod == 1 && second >= 300.0 => "2.3.0",
            // An unrelated deploy at the same moment, everywhere.
            "recommendation" if second >= 299.0 => "1.5.0",
            "inventory" if pod == 2 && second >= 301.0 => "1.5.0",
            _ => "1.4.0",
        })
        .failing(|visit| {
            let new = visit.pod("payment") == 1 && visit.second >= 300.0;
            if new && visit.gift_card && visit.checkout {
                Fault::inside("payment", "gift card not readable")
            } else {
                None
            }
        })
}

/// One pod of pricing is broken all the time.
pub(crate) fn bad_pod(seed: u64) -> Shop {
    Shop::new(seed).failing(|visit| {
        let hit = visit.checkout && visit.pod("pricing") == 2 && visit.luck < 0.6;
        hit.then(|| Fault::inside("pricing", "no space left on device")).flatten()
    })
}

/// The card gateway stops answering at 400 s, for a third of the calls.
pub(crate) fn timeout(seed: u64) -> Shop {
    Shop::new(seed)
        .versions(|service, _, second| match service {
            "recommendation" if second >= 398.0 => "1.5.0",
            _ => "1.4.0",
        })
        .failing(|visit| {
            let hit = visit.checkout && visit.second >= 400.0 && visit.luck < 0.33;
            hit.then(|| Fault::timeout("payment", "card-gateway", 2_000)).flatten()
        })
}

/// A bad pod and a tenant without stock, at once.
pub(crate) fn pod_and_tenant(seed: u64) -> Shop {
    Shop::new(seed).failing(|visit| {
        if !visit.checkout {
            None
        } else if visit.pod("pricing") == 0 && visit.luck < 0.4 {
            Fault::inside("pricing", "connection refused")
        } else if visit.tenant == 7 {
            Fault::inside("inventory", "unknown warehouse")
        } else {
            None
        }
    })
}

/// Payment asks the vouchers about gift cards only, and `fails` says which of these calls fail.
pub(crate) fn vouchers(seed: u64, fails: fn(&Visit) -> bool) -> Shop {
    let mut shop = Shop::new(seed).failing(move |visit| {
        let hit = visit.checkout && visit.gift_card && fails(visit);
        hit.then(|| Fault::inside("vouchers", "ledger is closed")).flatten()
    });
    shop.vouchers = true;
    shop
}

/// Two of five of the calls fail from 300 s on.
pub(crate) fn some_calls(seed: u64) -> Shop {
    vouchers(seed, |visit| visit.second >= 300.0 && visit.luck < 0.4)
}

/// Gift cards in one region, on one pod of payment: none of the three alone, nor two.
pub(crate) fn three_at_once(seed: u64) -> Shop {
    Shop::new(seed).failing(|visit| {
        let place = visit.pod("payment") == 1 && visit.region == "eu-west-1";
        let hit = visit.checkout && visit.gift_card && place;
        hit.then(|| Fault::inside("payment", "no rate for euro cards")).flatten()
    })
}
