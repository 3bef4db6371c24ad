(** A certificate that carries its proof: one mixture of the portfolio for every rival, compared coordinate by
    coordinate. No geometry has to be trusted: a checker multiplies and adds. *)

Require Import Reals Lra Lia.
From Palm Require Import Vectors Portfolios.
Open Scope R_scope.

(** One rival, at one weight. G_0, ..., G_{K-1} are the vertex values of the portfolio, H those of the rival, q a
    mixture (q_k >= 0, Σ q_k = 1) with Σ_k q_k G_k >= (1-ε) H - δ in each of the d coordinates. Then for every w in
    the simplex

      max_k ⟨w, G_k⟩ >= (1-ε) ⟨w, H⟩ - δ.

    ε and δ are any real numbers. *)
Theorem mixture_witness : forall d K (G : nat -> vector) (H : vector) eps delta q w L,
  simplex K q ->
  (∀ i < d, (1 - eps) * H i - delta <= Σ k < K, q k * G k i) ->
  simplex d w -> largest K (fun k => dot d w (G k)) L ->
  (1 - eps) * dot d w H - delta <= L.
Proof.
  intros d K G H eps delta q w L Hq Dominates [Hw Sw] [Up _].
  apply Rle_trans with (dot d w (fun i => Σ k < K, q k * G k i)).
  - replace ((1 - eps) * dot d w H - delta) with (dot d w (fun i => (1 - eps) * H i - delta)).
    + apply dot_le; assumption.
    + rewrite dot_minus_r, dot_scal_r, (dot_const d w delta), Sw. lra.
  - rewrite dot_combination_r. apply average_le; assumption.
Qed.

(** Finitely many rivals. If every rival j < M has such a mixture,

      Σ_k q_k G_k >= (1-ε) H_j - δ   in each of the d coordinates, with q = q(j), q_k >= 0, Σ q_k = 1,

    then for every w in the simplex  max_k ⟨w, G_k⟩ >= (1-ε) max_j ⟨w, H_j⟩ - δ.  ε and δ are any real numbers. *)
Theorem mixture_certificate : forall d K M (G H : nat -> vector) eps delta,
  (∀ j < M, exists q, simplex K q /\ ∀ i < d, (1 - eps) * H j i - delta <= Σ k < K, q k * G k i) ->
  forall w L best, simplex d w ->
  largest K (fun k => dot d w (G k)) L -> largest M (fun j => dot d w (H j)) best ->
  (1 - eps) * best - delta <= L.
Proof.
  intros d K M G H eps delta Witness w L best Hw HL [_ (j & Hj & <-)].
  destruct (Witness j Hj) as (q & Hq & Dominates).
  apply (mixture_witness d K G (H j) eps delta q w L); assumption.
Qed.

(** The same for any set of rivals, finite or not, with optimum J* (Portfolios.v), and ε <= 1: if every policy π has a
    mixture q of the portfolio with Σ_k q_k G(π_k) >= (1-ε) G(π) - δ in each coordinate, the portfolio is an (ε,
    δ)-portfolio. *)
Theorem mixture_portfolio : forall d (X : problem) Jstar K P L eps delta,
  is_optimum d X Jstar -> is_envelope d X K P L -> eps <= 1 ->
  (forall p, exists q, simplex K q /\
     ∀ i < d, (1 - eps) * vertex_values X p i - delta <= Σ k < K, q k * vertex_values X (P k) i) ->
  is_portfolio d Jstar L eps delta.
Proof.
  intros d X Jstar K P L eps delta HJ HL He Witness w Hw.
  enough ((1 - eps) * Jstar w <= L w + delta) by lra.
  apply (optimum_le d X); [assumption | assumption | lra | exists (P 0%nat); trivial |].
  intros p. destruct (Witness p) as (q & Hq & Dominates).
  enough ((1 - eps) * value d X w p - delta <= L w) by lra.
  rewrite value_is_linear by assumption.
  apply (mixture_witness d K (fun k => vertex_values X (P k)) (vertex_values X p) eps delta q w); auto.
  destruct (HL w Hw) as [Up (k & Hk & E)]. split.
  - intros j Hj. rewrite <- value_is_linear by assumption. auto.
  - exists k. split; [assumption |]. rewrite <- value_is_linear by assumption. assumption.
Qed.

Print Assumptions mixture_witness.
Print Assumptions mixture_certificate.
Print Assumptions mixture_portfolio.
