"""An order with nested items, as Pydantic models: what comes back is an `Order`.

Shows nested models, bounds on numbers and lengths, an enum and an optional field. Objects of
Python types are closed: the model cannot invent fields.
"""

from enum import Enum
from typing import Annotated

from pydantic import BaseModel, Field

import constrain


class Shipping(Enum):
    """How the parcel travels."""

    STANDARD = "standard"
    EXPRESS = "express"


class Item(BaseModel):
    """One line of the order."""

    product: Annotated[str, Field(min_length=1, max_length=30)]
    quantity: Annotated[int, Field(ge=1, le=99)]


class Order(BaseModel):
    """A whole order."""

    items: Annotated[list[Item], Field(min_length=1, max_length=4)]
    shipping: Shipping
    note: Annotated[str, Field(max_length=60)] | None


def main() -> None:
    """Print the order line by line, then as JSON."""
    model = constrain.load()
    prompt = [
        {"role": "system", "content": "Write down the customer's order as JSON."},
        {"role": "user", "content": "Two desk lamps and one chair, please, by express!"},
    ]
    sampling = constrain.Sampling(temperature=0.7, seed=1)
    order = model.generate(prompt, Order, sampling=sampling, max_tokens=256).value
    if not isinstance(order, Order):
        raise TypeError(order)
    for item in order.items:
        print(f"{item.quantity} x {item.product}")
    print(f"shipping: {order.shipping.value}")
    print(order.model_dump_json())


if __name__ == "__main__":
    main()
