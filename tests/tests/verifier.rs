//! Budgets of the packet path in the kernel.
use lb_user::dataplane::{Capacity, Object};

#[test]
fn loads() {
    let capacity = Capacity {
        services: 8,
        virtual_addresses: 8,
        choice_slots: 65_537,
        backends: 64,
        sources: 8,
        flows_v4: 1024,
        flows_v6: 1024,
        workers: 2,
    };
    let mut object = Object::load(&capacity).unwrap_or_else(|e| panic!("{e}"));
    for name in Object::PROGRAMS {
        let info = object.program(name).unwrap().info().unwrap();
        println!(
            "{name}: verified {:?} size {:?} jited {:?}",
            info.verified_instruction_count(),
            info.size_translated(),
            info.size_jitted()
        );
    }
}
