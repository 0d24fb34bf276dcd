//! COGs by formula: written, then read by nothing but the tables their layout names, and compared with the formula over full resolution.

mod damage;
mod layout;
mod read;
mod scene;
mod validity;
mod values;
